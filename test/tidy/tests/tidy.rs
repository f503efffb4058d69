//! The checks, applied to this repository.

use std::sync::LazyLock;

use tidy::metadata::{self, Outside, Package};
use tidy::tree::{self, File};
use tidy::{arrows, blocking, circles, docs, layout, names, once, supply, text, unsafety, words};

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| tree::files().expect("every file can be read"));
static PACKAGES: LazyLock<Vec<Package>> =
    LazyLock::new(|| metadata::packages().expect("cargo reports the packages"));
static OUTSIDE: LazyLock<Vec<Outside>> =
    LazyLock::new(|| metadata::outside().expect("cargo reports the outside crates"));
static RULES: LazyLock<supply::Rules> = LazyLock::new(|| {
    let text = std::fs::read_to_string(tree::root().join("deny.toml")).expect("there is a deny.toml");
    supply::Rules::read(&text).expect("deny.toml is as cargo-deny wants it")
});

fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn crates_import_only_what_the_picture_shows() {
    none(arrows::are_drawn(&PACKAGES, &FILES));
}

#[test]
fn files_import_each_other_in_one_direction() {
    none(circles::are_none(&FILES));
}

#[test]
fn cgroup_work_runs_on_blocking_threads() {
    none(blocking::is_cgroup_work(&FILES));
}

#[test]
fn what_is_computed_once_is_passed_on() {
    none(once::is_computed(&FILES));
}

#[test]
fn each_outside_library_has_one_owner() {
    none(arrows::owners_are_alone(&PACKAGES, &FILES));
}

#[test]
fn crates_from_outside_are_there_on_allowed_terms() {
    none(supply::licences_are_allowed(&RULES, &OUTSIDE));
}

#[test]
fn no_banned_crate_is_in_the_lock() {
    none(supply::nothing_banned(&RULES, &OUTSIDE));
}

#[test]
fn crates_from_outside_come_from_one_place() {
    none(supply::sources_are_known(&OUTSIDE));
}

#[test]
fn only_one_file_of_the_shim_names_an_engine() {
    none(arrows::engines_are_named_in_one_file(&PACKAGES, &FILES));
}

#[test]
fn every_file_opens_with_what_it_is() {
    none(text::opens_with_docs(&FILES));
}

#[test]
fn no_file_of_a_crate_is_long() {
    none(text::is_short(&FILES));
}

#[test]
fn nothing_is_left_for_later() {
    none(text::is_finished(&FILES));
    none(text::has_no_notes(&FILES));
}

#[test]
fn nothing_names_the_machine_it_was_made_on() {
    none(text::is_portable(&FILES));
    none(text::guests_are_portable(&FILES));
}

#[test]
fn words_are_standard() {
    none(words::are_standard(&FILES));
    none(words::exceptions_are_needed(&FILES));
}

#[test]
fn names_say_something() {
    none(names::say_something(&FILES));
}

#[test]
fn unsafe_code_is_declared() {
    none(unsafety::is_declared(&FILES));
}

#[test]
fn unsafe_code_is_named_in_its_crate_root() {
    none(unsafety::is_named(&FILES));
}

#[test]
fn every_unsafe_block_has_its_reason() {
    none(unsafety::is_justified(&FILES));
}

#[test]
fn the_top_holds_only_what_belongs_there() {
    none(layout::top_is_bare(&tree::top().unwrap()));
}

#[test]
fn every_built_guest_has_its_source() {
    none(layout::wasm_has_sources(&FILES));
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    none(docs::links_resolve(&FILES));
}

#[test]
fn every_command_that_users_are_shown_is_run() {
    none(docs::commands_are_run(&FILES));
}

#[test]
fn every_setting_is_in_the_table() {
    none(docs::settings_are_listed(&FILES));
}

#[test]
fn every_integration_test_is_run() {
    none(layout::tests_are_run(&FILES));
}
