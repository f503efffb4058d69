use e2e::runner::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![]
}
