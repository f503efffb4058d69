//! Modules and components, and the worlds that are detected for them.

use super::*;

fn detect(text: &str, function: Option<&str>) -> Result<World, WorldError> {
    World::detect(&wat::parse_str(text).unwrap(), function)
}

fn preview1(start: Start) -> World {
    World::Preview1(Preview1 { start, sockets: false, polls: false, foreign: Vec::new() })
}

fn command(wasi: Wasi) -> World {
    World::Command(Command { wasi, start: Start::Command, concurrent: wasi == Wasi::P3 })
}

fn handler(wasi: Wasi) -> World {
    World::HttpHandler(HttpHandler { wasi, concurrent: wasi == Wasi::P3 })
}

/// A component with these imports and exports.
fn component(imports: &[&str], exports: &[&str]) -> String {
    let import = |name: &&str| format!("(import \"{name}\" (instance)) ");
    let export = |name: &&str| format!("(export \"{name}\" (instance $i)) ");
    let [imports, exports] =
        [imports.iter().map(import).collect::<String>(), exports.iter().map(export).collect()];
    format!("(component {imports} (instance $i) {exports})")
}

#[test]
fn a_world_for_what_can_run() {
    let check = |text: &str, function, world| {
        assert_eq!(detect(text, function), Ok(world), "{text}");
    };
    let start = "(func (export \"_start\"))";
    check(&format!("(module {start})"), None, preview1(Start::Command));
    check(
        "(module (func (export \"_initialize\")) (func (export \"go\") (result i32) i32.const 1))",
        Some("go"),
        preview1(Start::Function("go".into())),
    );
    let importing = |import: &str| {
        format!("(module (import \"wasi_snapshot_preview1\" \"{import}\" (func (param i32))) {start})")
    };
    check(&importing("proc_exit"), None, preview1(Start::Command));
    let (start, foreign) = (Start::Command, Vec::new());
    let sockets = World::Preview1(Preview1 { start, sockets: true, polls: false, foreign });
    check(&importing("sock_open_v2"), None, sockets);
    check(&component(&["wasi:io/poll@0.2.3"], &["wasi:cli/run@0.2.0"]), None, command(Wasi::P2));
    check(
        &component(
            &["wasi:http/types@0.2.0", "wasi:config/store@0.2.0-rc.1"],
            &["wasi:cli/run@0.2.0", "wasi:http/incoming-handler@0.2.1"],
        ),
        None,
        handler(Wasi::P2),
    );
    check(
        &component(&["wasi:io/poll@0.2.3", "wasi:http/types@0.3.2"], &["wasi:http/handler@0.3.2"]),
        None,
        handler(Wasi::P3),
    );
    check(&component(&["wasi:cli/types@0.3.0"], &["wasi:cli/run@0.3.0"]), None, command(Wasi::P3));
}

#[test]
fn concurrent_calls_are_detected_in_the_code() {
    let made = |code: &str| {
        let text = format!("(component {code} (instance $i) (export \"wasi:cli/run@0.2.0\" (instance $i)))");
        match detect(&text, None).unwrap() {
            World::Command(command) => command,
            other => panic!("{other:?}"),
        }
    };
    assert!(made("(core func (canon task.cancel))").concurrent);
    assert!(made("(component (core func (canon task.cancel)))").concurrent, "in what is nested, too");
    let plain = "(component (type $r (resource (rep i32))) (core func (canon resource.new $r)))";
    assert!(!made(plain).concurrent);
}

fn module(fields: &str) -> Preview1 {
    match detect(&format!("(module {fields})"), None).unwrap() {
        World::Preview1(module) => module,
        other => panic!("{other:?}"),
    }
}

#[test]
fn modules_made_by_go_are_detected() {
    let made = |section: &str| module(&format!("{section} (func (export \"_start\"))"));
    assert!(made("(@custom \"go:buildid\" \"\\ff Go build ID: 7\")").polls);
    assert!(!made("(@custom \"producers\" \"\")").polls);
}

#[test]
fn imports_from_elsewhere_are_listed() {
    let imports = "(import \"env\" \"f\" (func)) (import \"nn\" \"mem\" (memory 1))";
    let world = module(&format!("{imports} (func (export \"_start\"))"));
    assert_eq!(world.foreign, ["env::f", "nn::mem"]);
    assert_eq!(world.unmet(|_| false).as_deref(), Some("env::f, nn::mem"));
    assert_eq!(world.unmet(|module| module == "env").as_deref(), Some("nn::mem"));
    assert_eq!(world.unmet(|_| true), None);
}

#[test]
fn a_sentence_for_what_cannot() {
    let check = |text: &str, function, words: &str| {
        let error = detect(text, function).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check(
        "(module (func (export \"run\")))",
        None,
        "no _start to start from; name one of its functions with PATH#FUNCTION (it exports run)",
    );
    check("(module)", None, "exports no functions");
    check("(module (func (export \"_start\") (param i32)))", None, "takes 1 parameters");
    check("(module (func (export \"f\")))", Some("g"), "no function \"g\" (it exports f)");
    check("(component)", None, "no wasi:cli/run, wasi:http/incoming-handler or wasi:http/handler to");
    check("(component (import \"my:own/thing@1.0.0\" (instance)))", None, "my:own/thing@1.0.0");
    let exporting = |name: &str| {
        format!(
            "(component (import \"wasi:cli/types@0.3.0\" (instance)) (instance $i) (export \"{name}\" (instance $i)))"
        )
    };
    for name in ["wasi:cli/run@0.4.0", "wasi:http/handler@0.4.0"] {
        check(&exporting(name), None, &format!("it exports {name}, of a version that is not known here"));
    }
    for name in [
        "wasi:http/handler@0.3.0-rc-2026-01-06",
        "wasi:cli/run@0.3.0-draft",
        "wasi:cli/run@0.2.0-rc-2023-11-10",
        "wasi:http/incoming-handler@0.2.0-rc-2023-12-05",
    ] {
        check(&exporting(name), None, &format!("it exports {name}, which is a draft"));
    }
    check(
        "(component (import \"wasi:io/poll@0.2.0-rc-2023-11-10\" (instance)))",
        None,
        "wasi:io/poll@0.2.0-rc",
    );
    let unstable = "(import \"wasi_unstable\" \"proc_exit\" (func (param i32)))";
    check(&format!("(module {unstable} (func (export \"_start\")))"), None, "preview 0 of WASI");
    let start = "(func (export \"_start\"))";
    for memory in ["(memory 1 1 shared)", "(import \"env\" \"memory\" (memory 1 1 shared))"] {
        check(&format!("(module {memory} {start})"), None, "a memory that threads share");
    }
    check(
        "(component (import \"wasi:cli/types@0.3.0\" (instance)) (instance $i) (export \"wasi:cli/run@0.2.0\" (instance $i)))",
        None,
        "it imports what no world offers: wasi:cli/types@0.3.0",
    );
}

proptest::proptest! {
    /// Detection succeeds or fails for any bytes of an image.
    #[test]
    fn never_panics(bytes: Vec<u8>, component: bool) {
        let head = if component { *b"\0asm\x0d\0\x01\0" } else { *b"\0asm\x01\0\0\0" };
        let _ = World::detect(&[&head[..], &bytes].concat(), None);
    }
}

#[test]
fn every_cut_of_a_module_is_refused_or_read() {
    let whole = wat::parse_str("(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))) (func (export \"_start\")))").unwrap();
    for end in 0..whole.len() {
        assert!(World::detect(&whole[..end], None).is_err(), "cut at {end}");
    }
}
