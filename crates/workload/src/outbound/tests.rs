//! Tables of what the annotations mean.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn outbound(text: &str) -> Outbound {
    Outbound::parse(Some(text), None).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn addresses_are_judged_by_the_rules_for_addresses() {
    let check = |text: &str, yes: &[&str], no: &[&str]| {
        let rules = outbound(text);
        let judge = |address: &&str| rules.allows_address(address.parse::<SocketAddr>().unwrap());
        yes.iter().for_each(|address| assert!(judge(address), "{text}: {address}"));
        no.iter().for_each(|address| assert!(!judge(address), "{text}: {address}"));
    };
    check("", &[], &["10.0.0.1:80", "[::1]:80"]);
    check("*", &["10.0.0.1:80", "[::1]:1"], &[]);
    check("*:443", &["10.0.0.1:443", "[fd00::1]:443"], &["10.0.0.1:80", "[::1]:443", "169.254.169.254:443"]);
    check("*:443,169.254.169.254", &["169.254.169.254:443", "169.254.169.254:80"], &["169.254.0.1:443"]);
    check(
        "127.0.0.0/8:80,fe80::/10",
        &["127.0.0.1:80", "[fe80::1]:9", "[::ffff:127.0.0.1]:80"],
        &["0.0.0.0:80"],
    );
    check("10.0.0.1", &["10.0.0.1:1", "[::ffff:10.0.0.1]:65535"], &["10.0.0.2:1", "[::a00:1]:1"]);
    check("10.0.0.1:8000-8100", &["10.0.0.1:8000", "10.0.0.1:8100"], &["10.0.0.1:7999", "10.0.0.1:8101"]);
    check("10.1.2.3/8:443", &["10.9.9.9:443"], &["10.9.9.9:444", "11.0.0.0:443"]);
    check("0.0.0.0/0", &["1.2.3.4:5", "[::ffff:1.2.3.4]:5"], &["[2001:db8::1]:5"]);
    check("::/0", &["[2001:db8::1]:5"], &["1.2.3.4:5", "[::ffff:1.2.3.4]:5"]);
    check("[fd00::]/8:443", &["[fdff::1]:443"], &["[fdff::1]:80", "[fe00::1]:443"]);
    check("fd00::/8", &["[fdff::1]:443", "[fdff::1]:80"], &["[fe00::1]:443"]);
    check("[fd00::1]:*, [fd00::2]", &["[fd00::1]:9", "[fd00::2]:9"], &["[fd00::3]:9"]);
    check("::ffff:10.0.0.0/104", &["10.200.0.1:1", "[::ffff:10.0.0.1]:1"], &["11.0.0.1:1"]);
    check(" , 10.0.0.1 ,\n 10.0.0.2:80 ,", &["10.0.0.1:1", "10.0.0.2:80"], &["10.0.0.2:81"]);
    check("localhost:80", &[], &["127.0.0.1:80"]);
}

#[test]
fn hosts_are_judged_by_the_rules_for_names() {
    let check = |text: &str, host: &str, port: u16, expected: bool| {
        assert_eq!(outbound(text).allows_host(host, port), expected, "{text}: {host}:{port}");
    };
    check("example.com", "EXAMPLE.com.", 1, true);
    check("Example.Com.:443", "example.com", 443, true);
    check("example.com:443", "example.com", 80, false);
    check("example.com", "www.example.com", 1, false);
    check("*.example.com", "a.b.example.com", 1, true);
    check("*.example.com", "example.com", 1, false);
    check("*.example.com", ".example.com", 1, false);
    check("*.example.com", "badexample.com", 1, false);
    check("*.example.com", "é.example.com", 1, true);
    check("*.m", "ém", 1, false);
    check("*:80", "anything", 80, true);
    check("10.0.0.0/8", "10.0.0.1", 1, true);
    check("[fd00::1]:80", "[fd00::1]", 80, true);
    check("fd00::1", "fd00::1", 80, true);
    check("10.0.0.0/8", "ten.example", 1, false);
    check("my_service:80", "my_service", 80, true);
}

#[test]
fn look_ups_are_what_is_named_or_what_the_rules_need() {
    let check = |rules: Option<&str>, lookup: Option<&str>, yes: &[&str], no: &[&str]| {
        let outbound = Outbound::parse(rules, lookup).unwrap();
        yes.iter().for_each(|host| assert!(outbound.allows_lookup(host), "{outbound}: {host}"));
        no.iter().for_each(|host| assert!(!outbound.allows_lookup(host), "{outbound}: {host}"));
    };
    check(None, None, &["a", "10.0.0.1"], &[]);
    check(Some(""), None, &["10.0.0.1", "::1"], &["a", "localhost"]);
    check(Some("a:80,*.b:443,10.0.0.1"), None, &["A.", "x.b"], &["b", "c"]);
    check(Some("*:443"), None, &["anything"], &[]);
    check(Some("10.0.0.0/8"), Some("*"), &["anything"], &[]);
    check(None, Some("a, *.b"), &["a", "x.B."], &["b", "c"]);
    check(Some("a"), Some(""), &[], &["a"]);
}

#[test]
fn everything_and_the_ports_of_a_name() {
    let everything = |rules, lookup| Outbound::parse(rules, lookup).unwrap().is_everything();
    assert!(everything(None, None) && everything(Some("a,*"), None) && everything(None, Some("*")));
    assert!(!everything(Some(""), None) && !everything(Some("*:1-65535"), None));
    assert!(!everything(None, Some("a")) && !everything(Some("0.0.0.0/0,::/0"), None));
    assert_eq!(outbound("a:80,*:90-91,*.a,a:90-91").ports_for_host("a"), [80..=80, 90..=91]);
    assert_eq!(outbound("a:80,10.0.0.1").ports_for_host("b"), []);
    assert_eq!(Outbound::everything().ports_for_host("b"), []);
}

/// A variable's list may remove names from those of an annotation's rules, and adds none.
#[test]
fn a_narrower_list_adds_nothing() {
    let check = |rules: &str, narrower: &str, yes: &[&str], no: &[&str]| {
        let outbound = outbound(rules).narrowed(Some(narrower)).unwrap();
        yes.iter().for_each(|host| assert!(outbound.allows_lookup(host), "{rules} {narrower}: {host}"));
        for host in no {
            assert!(!outbound.allows_lookup(host), "{rules} {narrower}: {host}");
        }
        assert!(!outbound.is_everything());
    };
    check("a,*.b", "*", &["a", "x.b", "10.0.0.1"], &["c"]);
    check("a,*.b", "c,x.b", &["x.b"], &["a", "y.b", "c"]);
    check("10.0.0.0/8", "*", &[], &["a"]);
    check("*", "a", &["a"], &["b"]);
    let outbound = outbound("a").narrowed(Some("b")).unwrap();
    assert_eq!(
        (outbound.decides_lookup("a"), outbound.decides_lookup("b")),
        (ALLOWED_LOOKUP, ALLOWED_OUTBOUND)
    );
}

#[test]
fn an_item_that_is_not_understood_is_named() {
    let check = |text: &str, expected: &str| {
        let error = Outbound::parse(Some(text), None).unwrap_err().to_string();
        assert!(error.starts_with("the annotation lighter.wasm/allowed-outbound names "), "{error}");
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("a, https://b.c", "\"https://b.c\", which is a URL");
    check("b.c/path", "which is a URL");
    check("a b", "\"a b\" is neither a host name nor an address");
    check("300.1.1.1", "neither a host name nor an address");
    check("a..b", "neither");
    check("-:80:90", "neither");
    check(":80", "neither");
    check("a*.b", "'*' stands for a part of a name");
    check("*.*.b", "'*' stands for a part of a name");
    check("bücher.example", "xn-- form");
    check("10.0.0/8", "\"10.0.0\" before the '/' is not an address");
    check("10.0.0.0/33", "\"33\" is not the length of a prefix, 0 to 32");
    check("10.0.0.0/+8", "\"+8\" is not the length of a prefix");
    check("[fd00::]/129:80", "0 to 128");
    check("[fd00::1", "brackets");
    check("[10.0.0.1]:80", "brackets");
    check("[fd00::1]80", "brackets");
    for port in ["0", "65536", "80-", "90-80", "-80", "+80", "", "http"] {
        check(&format!("a:{port}"), &format!("{port:?} is not a port"));
    }
    for item in ["a:80", "10.0.0.1", "fd00::1"] {
        let error = Outbound::parse(None, Some(item)).unwrap_err().to_string();
        let expected =
            format!("lighter.wasm/allowed-lookup names {item:?}, which is more than a name, or none");
        assert!(error.contains(&expected), "{error}");
    }
}

/// Mostly valid items, so that the code after the parsing is reached, too.
fn item() -> impl Strategy<Value = String> {
    let target =
        r"(\*|\*\.[a-z]{1,3}|[A-Za-z_]{1,3}(\.[a-z]{1,3})?\.?|[0-9]{1,3}\.0\.[0-9]\.1(/[0-9]{1,2})?)";
    let long = r"\[(fd[0-9a-f]{2}|2001)::[0-9a-f]{0,3}\](/[0-9]{1,3})?";
    let port = r"(:(\*|[1-9][0-9]{0,3}|[1-9][0-9]-[0-9]{3}))?";
    let items = |pattern: String| prop::string::string_regex(&pattern).expect("a pattern of this file");
    prop_oneof![items(format!("{target}{port}")), items(format!("{long}{port}"))]
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in ".{0,60}", list in "[a-c0-9:/.*,\\[\\] -]{0,40}", host in ".{0,20}") {
        for text in [text, list] {
            if let Ok(outbound) = Outbound::parse(Some(&text), Some(&text)) {
                outbound.allows_host(&host, 1);
                outbound.allows_lookup(&host);
            }
            Outbound::parse(Some(&text), None).map(drop).unwrap_or_default();
        }
    }

    #[test]
    fn what_is_displayed_means_the_same(items in prop::collection::vec(item(), 0..4)) {
        if let Ok(outbound) = Outbound::parse(Some(&items.join(" , ")), None) {
            let shown = outbound.to_string();
            let rules = shown.strip_suffix(" -").expect("no names to look up");
            prop_assert_eq!(&Outbound::parse(Some(rules), None).unwrap(), &outbound);
            let json = serde_json::to_string(&outbound).unwrap();
            prop_assert_eq!(serde_json::from_str::<Outbound>(&json).unwrap(), outbound);
        }
    }
}
