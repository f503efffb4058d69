//! Tests of each directive, and of the headers that are rejected, with the line of each error.

use super::*;

#[test]
fn a_sentence_is_enough() {
    let text = ";; It runs.\n;; Nothing more.\n(module)\n";
    let case = parse("hello.wat", text).unwrap();
    assert_eq!(case.name, "hello");
    assert_eq!(case.says, "It runs.");
    assert_eq!(case.source, Source::Text(text.into()));
    assert_eq!(case.entry, "/cases/hello.wasm");
    assert_eq!(case.expected, Expected::Exit { code: 0, stdout: None, stderr: vec![] });
    assert!(case.args.is_empty() && case.env.is_empty() && case.mounts.is_empty());
    assert_eq!((case.cwd, case.stdin, case.user, case.signal), (None, None, None, None));
    assert!(!case.readonly_rootfs && case.memory.is_none());
}

#[test]
fn every_directive_is_read() {
    let case = parse(
        "all.wat",
        ";; Everything.\n\
         ;; RUN: one  two --three=4\n\
         ;; ARG: three  four\n\
         ;; ARG:\n\
         ;; ENV: A=b=c\n\
         ;; ENV: EMPTY=\n\
         ;; CWD: /work\n\
         ;; ENTRY: /cases/all.wasm#go\n\
         ;; STDIN: a\\nb\\\\n\\t\n\
         ;; MOUNT: ro /data\n\
         ;; MOUNT: rw /more\n\
         ;; READONLY: rootfs\n\
         ;; USER: 1234:5678\n\
         ;; MEMORY: 32 MiB\n\
         ;; SIGNAL: SIGTERM\n\
         ;; EXIT: 143\n\
         ;; STDOUT: ready\n\
         ;; STDOUT:\n\
         ;; STDOUT:  indented\n\
         ;; STDERR: wasm trap\n\
         (module)\n;; EXIT: 1\n",
    )
    .unwrap();
    assert_eq!(case.args, ["one", "two", "--three=4", "three  four", ""]);
    assert_eq!(case.env, ["A=b=c", "EMPTY="]);
    assert_eq!(case.cwd.as_deref(), Some("/work"));
    assert_eq!(case.entry, "/cases/all.wasm#go");
    assert_eq!(case.stdin.as_deref(), Some("a\nb\\n\t"));
    let mount = |path: &str, writable| Mount { path: path.into(), writable };
    assert_eq!(case.mounts, [mount("/data", false), mount("/more", true)]);
    assert!(case.readonly_rootfs);
    assert_eq!(case.user, Some(User { uid: 1234, gid: 5678 }));
    assert_eq!(case.memory, Some(32 << 20));
    assert_eq!(case.signal.as_deref(), Some("SIGTERM"));
    let (stdout, stderr) = (Some("ready\n\n indented".into()), vec!["wasm trap".into()]);
    assert_eq!(case.expected, Expected::Exit { code: 143, stdout, stderr });
}

#[test]
fn a_built_guest_is_named_by_a_case_file() {
    let case = parse("p2.case", ";; It runs.\n;; GUEST: hello-p2/hello-p2.wasm\n").unwrap();
    assert_eq!(case.source, Source::Guest("hello-p2/hello-p2.wasm".into()));
    assert_eq!(case.entry, "/cases/p2.wasm");
}

#[test]
fn create_may_be_expected_to_fail() {
    let case = parse("bad.wat", ";; Refused.\n;; CREATE: env.a\n;; CREATE: env.b\n(module)").unwrap();
    assert_eq!(case.expected, Expected::Refused(vec!["env.a".into(), "env.b".into()]));
}

#[test]
fn a_bad_header_is_refused_with_its_file_and_line() {
    let check = |name: &str, text: &str, expected: &str| {
        assert_eq!(parse(name, text).unwrap_err().to_string(), expected);
    };
    check("a.wat", ";; S.\n;; EXITS: 1\n", "a.wat:2: EXITS: unknown directive");
    check("a.wat", ";; S.\n;; EXIT: 256\n", "a.wat:2: EXIT: wants a number from 0 to 255");
    check("a.wat", ";; S.\n;; EXIT: 1\n;; EXIT: 1\n", "a.wat:3: EXIT: stands twice");
    check(
        "a.wat",
        ";; S.\n;; EXIT: 1\n;; S.\n",
        "a.wat:3: a sentence after a directive; sentences come first",
    );
    check("a.wat", ";; EXIT: 1\n", "a.wat:1: a case begins with a sentence that says what it shows");
    check("a.wat", "(module)\n", "a.wat:1: a case begins with a sentence that says what it shows");
    check("a.wat", ";; S.\n;; ENV: A\n", "a.wat:2: ENV: \"A\" is not NAME=value");
    check("a.wat", ";; S.\n;; CWD: w\n", "a.wat:2: CWD: \"w\" is not an absolute path");
    check("a.wat", ";; S.\n;; MOUNT: /w\n", "a.wat:2: MOUNT: \"/w\" is not `ro /path` or `rw /path`");
    check("a.wat", ";; S.\n;; USER: bob\n", "a.wat:2: USER: \"bob\" is not UID:GID in numbers");
    check("a.wat", ";; S.\n;; STDIN: \\x\n", "a.wat:2: STDIN: \\x is no escape");
    check("a.wat", ";; S.\n;; READONLY: yes\n", "a.wat:2: READONLY: only `rootfs` can be read-only");
    check("a.wat", ";; S.\n;; SIGNAL: 15\n", "a.wat:2: SIGNAL: \"15\" is no signal name such as SIGTERM");
    check("a.wat", ";; S.\n;; STDERR:\n", "a.wat:2: STDERR: is empty, which everything contains");
    check("a.wat", ";; S.\n;; GUEST: a.wasm\n", "a.wat:2: GUEST belongs into a .case file");
    check("a.case", ";; S.\n", "a.case:1: a .case file names its GUEST");
    check("a.case", ";; S.\n;; GUEST: ../a\n", "a.case:2: GUEST: \"../a\" is not a path below test/guests");
    check("a.txt", ";; S.\n", "a.txt:1: a case is called NAME.wat or NAME.case");
    check("a.wat", ";; S.\n;; MEMORY: 32\n", "a.wat:2: MEMORY: \"32\" is not such as `32 MiB`");
    let both = ";; S.\n;; CREATE: e\n;; EXIT: 1\n";
    check("a.wat", both, "a.wat:3: CREATE says the task never runs: no EXIT, STDOUT or STDERR beside it");
    let signalled = ";; S.\n;; SIGNAL: SIGTERM\n;; CREATE: e\n";
    check("a.wat", signalled, "a.wat:3: CREATE says the task never runs: no SIGNAL beside it");
}
