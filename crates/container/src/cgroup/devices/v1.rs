//! Device rules for v1's controller: lines for `devices.deny` and `devices.allow`. See the kernel's
//! `Documentation/admin-guide/cgroup-v1/devices.rst`.

use anyhow::ensure;

use super::rules::{Kind, MKNOD, READ, Rule, Rules, WRITE};

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

/// The lines, each with its file, in order.
///
/// # Errors
/// Names the rule that v1 cannot express: it revokes only what was allowed by the same numbers.
pub(super) fn lines(rules: &Rules) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut lines = vec![(DENY, "a".to_owned())];
    // What was allowed since everything was refused; `None` while everything is allowed by default.
    let mut given: Option<Vec<Rule>> = Some(Vec::new());
    for rule in &rules.0 {
        if rule.is_of_everything() {
            lines.push((if rule.allow { ALLOW } else { DENY }, "a".into()));
            given = (!rule.allow).then(Vec::new);
            continue;
        }
        for kind in rule.kind.map_or(vec![Kind::Block, Kind::Char], |kind| vec![kind]) {
            let rule = Rule { kind: Some(kind), ..*rule };
            match &mut given {
                Some(given) if rule.allow => given.push(rule),
                Some(given) => check_no_hole(given, &rule)?,
                None => {}
            }
            lines.push((if rule.allow { ALLOW } else { DENY }, line(&rule)));
        }
    }
    Ok(lines)
}

/// The kernel would silently keep what it cannot revoke.
fn check_no_hole(given: &[Rule], refused: &Rule) -> anyhow::Result<()> {
    let meet = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
    let hole = given.iter().find(|given| {
        given.kind == refused.kind
            && given.access & refused.access != 0
            && meet(given.major, refused.major)
            && meet(given.minor, refused.minor)
            && (given.major, given.minor) != (refused.major, refused.minor)
    });
    ensure!(
        hole.is_none(),
        "cannot refuse the devices {:?} after {:?} was allowed: cgroup v1 knows no exceptions from that",
        line(refused),
        hole.map(line).unwrap_or_default()
    );
    Ok(())
}

fn line(rule: &Rule) -> String {
    let kind = if rule.kind == Some(Kind::Block) { 'b' } else { 'c' };
    let number = |number: Option<u32>| number.map_or("*".into(), |it| it.to_string());
    let letters =
        [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')].into_iter().filter(|(bit, _)| rule.access & bit != 0);
    let access: String = letters.map(|(_, letter)| letter).collect();
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

#[cfg(test)]
mod tests {
    use super::super::rules::DevicePolicy;
    use super::super::rules::tests::of;
    use super::*;

    fn check(json: &str, expected: &[&str]) {
        let lines = lines(&of(json, DevicePolicy::Program)).unwrap();
        let lines: Vec<_> = lines.iter().map(|(file, line)| format!("{} {line}", &file[8..])).collect();
        assert_eq!(lines[..expected.len()], *expected, "{json}");
        assert!(lines.ends_with(&["allow c 136:* rwm".to_owned()]));
    }

    #[test]
    fn everything_is_refused_first() {
        check("[]", &["deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm"]);
        check(
            r#"[{"allow":false,"access":"rwm"}, {"allow":true,"type":"c","major":10,"minor":-1,"access":"rw"}]"#,
            &["deny a", "deny a", "allow c 10:* rw", "allow c *:* m"],
        );
    }

    /// The kernel reads no numbers after an `a`.
    #[test]
    fn a_rule_for_both_kinds_is_two() {
        let json = r#"[{"allow":true,"type":"a","major":8,"access":"r"}]"#;
        check(json, &["deny a", "allow b 8:* r", "allow c 8:* r"]);
    }

    #[test]
    fn what_v1_would_ignore_is_refused() {
        let hole =
            r#"[{"allow":true,"type":"c","major":10}, {"allow":false,"type":"c","major":10,"minor":5}]"#;
        let error = lines(&of(hole, DevicePolicy::Program)).unwrap_err().to_string();
        assert!(error.contains("c 10:5 rwm") && error.contains("c 10:* rwm"), "{error}");
        check(
            r#"[{"allow":true}, {"allow":false,"type":"c","major":10,"minor":5}]"#,
            &["deny a", "allow a", "deny c 10:5 rwm"],
        );
    }
}
