//! Device rules, in order, as runc reads a spec: for each device and kind of access the last matching rule decides;
//! without one, access is refused.

use anyhow::ensure;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

/// The kind of container that the rules are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicePolicy {
    /// A Wasm guest, which creates no devices: its box does, before it runs.
    Guest,
    /// A Linux program.
    Program,
}

/// The type of a device, in the numbers of BPF device programs (`BPF_DEVCG_DEV_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Block = 1,
    Char = 2,
}

/// The kinds of access, as bits in the kernel's order (`BPF_DEVCG_ACC_*`).
pub(super) const MKNOD: u32 = 1;
pub(super) const READ: u32 = 2;
pub(super) const WRITE: u32 = 4;
pub(super) const ALL: u32 = MKNOD | READ | WRITE;

/// A rule; `None` matches any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    pub(super) kind: Option<Kind>,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    /// The kinds of access it applies to, of [`ALL`].
    pub(super) access: u32,
}

/// null, zero, random and urandom: the devices in a guest's /dev.
const GUESTS: [(u32, Option<u32>); 4] = [(1, Some(3)), (1, Some(5)), (1, Some(8)), (1, Some(9))];
/// Also full, tty, ptmx and its terminals, as with runc.
const PROGRAMS: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules(pub(super) Vec<Rule>);

impl Rules {
    /// The spec's rules, then the defaults of `policy`; `made` are the devices that the spec has the box create.
    pub(super) fn of(
        spec: &[LinuxDeviceCgroup],
        made: &[LinuxDevice],
        policy: DevicePolicy,
    ) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for rule in spec {
            all.extend(Rule::of(rule)?);
        }
        match policy {
            DevicePolicy::Program => {
                let make =
                    |kind| Rule { allow: true, kind: Some(kind), major: None, minor: None, access: MKNOD };
                all.extend([Kind::Char, Kind::Block].map(make));
                all.extend(PROGRAMS.map(Rule::allow));
            }
            DevicePolicy::Guest => {
                let allowed = all.iter_mut().filter(|rule| rule.allow);
                allowed.for_each(|rule| rule.access &= !MKNOD);
                all.extend(made.iter().filter_map(Rule::to_make));
                all.extend(GUESTS.map(Rule::allow));
                all.retain(|rule| rule.access != 0);
            }
        }
        Ok(Self::shortest(all))
    }

    /// Drops rules that later ones override: specs often list the defaults, and the kernel's time for a program grows
    /// with its instructions (0.4 ms for 110, 0.2 for 60, measured).
    pub(super) fn shortest(mut all: Vec<Rule>) -> Self {
        let mut at = 0;
        while let Some(rule) = all.get(at) {
            if all.iter().skip(at + 1).any(|later| later.covers(rule)) {
                all.remove(at);
            } else {
                at += 1;
            }
        }
        Self(all)
    }
}

impl Rule {
    fn allow((major, minor): (u32, Option<u32>)) -> Self {
        Self { allow: true, kind: Some(Kind::Char), major: Some(major), minor, access: ALL }
    }

    fn to_make(device: &LinuxDevice) -> Option<Self> {
        Some(Self {
            allow: true,
            kind: kind(device.typ())?,
            major: Some(u32::try_from(device.major()).ok()?),
            minor: Some(u32::try_from(device.minor()).ok()?),
            access: MKNOD,
        })
    }

    /// A rule of the spec; `None` where no device can match it.
    fn of(rule: &LinuxDeviceCgroup) -> anyhow::Result<Option<Self>> {
        let access = access(rule.access().as_deref().unwrap_or_default())?;
        let Some(kind) = kind(rule.typ().unwrap_or_default()) else { return Ok(None) };
        // A negative number matches any.
        let number = |number: Option<i64>| number.filter(|it| *it >= 0).map(u32::try_from).transpose();
        let (Ok(major), Ok(minor)) = (number(rule.major()), number(rule.minor())) else { return Ok(None) };
        Ok(Some(Self { allow: rule.allow(), kind, major, minor, access }))
    }

    /// Whether it matches all that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        let wider = |own: Option<u32>, its: Option<u32>| own.is_none() || own == its;
        (self.kind.is_none() || self.kind == other.kind)
            && wider(self.major, other.major)
            && wider(self.minor, other.minor)
            && other.access & !self.access == 0
    }

    /// Whether the rule matches every device and kind of access.
    pub(super) fn is_of_everything(&self) -> bool {
        (self.kind, self.major, self.minor, self.access) == (None, None, None, ALL)
    }
}

/// The outer `None` is a fifo, which needs no permission; the inner `None` matches any type.
fn kind(named: LinuxDeviceType) -> Option<Option<Kind>> {
    match named {
        LinuxDeviceType::A => Some(None),
        LinuxDeviceType::B => Some(Some(Kind::Block)),
        LinuxDeviceType::C | LinuxDeviceType::U => Some(Some(Kind::Char)),
        LinuxDeviceType::P => None,
    }
}

fn access(letters: &str) -> anyhow::Result<u32> {
    if letters.is_empty() {
        return Ok(ALL);
    }
    letters.chars().try_fold(0, |all, letter| {
        let bit = [('m', MKNOD), ('r', READ), ('w', WRITE)].into_iter().find(|(name, _)| *name == letter);
        ensure!(
            bit.is_some(),
            "the spec's rule for a device has access {letters:?}: it must be of r, w and m"
        );
        Ok(all | bit.map_or(0, |(_, bit)| bit))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The meaning of the rules, implemented plainly: in forward order, each kind of access by itself.
    pub(in super::super) fn allowed(rules: &[Rule], kind: Kind, major: u32, minor: u32, asked: u32) -> bool {
        let mut granted = 0;
        for rule in rules {
            let about = rule.kind.is_none_or(|it| it == kind)
                && rule.major.is_none_or(|it| it == major)
                && rule.minor.is_none_or(|it| it == minor);
            match (about, rule.allow) {
                (false, _) => {}
                (true, true) => granted |= rule.access,
                (true, false) => granted &= !rule.access,
            }
        }
        asked & !granted == 0
    }

    pub(in super::super) fn of(json: &str, policy: DevicePolicy) -> Rules {
        let made = r#"[{"path":"/dev/fuse","type":"c","major":10,"minor":229}]"#;
        let made: Vec<LinuxDevice> = serde_json::from_str(made).unwrap();
        Rules::of(&serde_json::from_str::<Vec<_>>(json).unwrap(), &made, policy).unwrap()
    }

    fn check(json: &str, policy: DevicePolicy, device: (Kind, u32, u32, u32), expected: bool) {
        let (kind, major, minor, asked) = device;
        let result = allowed(&of(json, policy).0, kind, major, minor, asked);
        assert_eq!(result, expected, "{json} {policy:?} {device:?}");
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let (block, char) = (Kind::Block, Kind::Char);
        for json in ["[]", r#"[{"allow":false,"access":"rwm"}]"#] {
            for policy in [DevicePolicy::Guest, DevicePolicy::Program] {
                check(json, policy, (block, 7, 0, READ), false);
                check(json, policy, (char, 1, 11, READ), false);
                check(json, policy, (block, 1, 3, READ), false);
                check(json, policy, (char, 1, 3, READ | WRITE), true);
            }
            check(json, DevicePolicy::Program, (char, 136, 9, READ | WRITE), true);
            check(json, DevicePolicy::Program, (block, 7, 0, MKNOD), true);
            check(json, DevicePolicy::Guest, (char, 136, 9, READ), false);
            check(json, DevicePolicy::Guest, (block, 7, 0, MKNOD), false);
            check(json, DevicePolicy::Guest, (char, 10, 229, MKNOD), true);
            check(json, DevicePolicy::Guest, (char, 10, 229, READ), false);
        }
    }

    #[test]
    fn the_last_rule_decides_for_each_way() {
        let json = r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8},
            {"allow":true,"type":"b","major":8,"minor":1,"access":"r"},
            {"allow":false,"type":"c","major":10,"minor":-1,"access":"w"}]"#;
        check(json, DevicePolicy::Program, (Kind::Block, 7, 0, READ | WRITE), true);
        check(json, DevicePolicy::Program, (Kind::Block, 8, 0, READ), false);
        check(json, DevicePolicy::Program, (Kind::Block, 8, 1, READ), true);
        check(json, DevicePolicy::Program, (Kind::Block, 8, 1, READ | WRITE), false);
        check(json, DevicePolicy::Program, (Kind::Char, 10, 5, READ), true);
        check(json, DevicePolicy::Program, (Kind::Char, 10, 5, WRITE), false);
        check(json, DevicePolicy::Guest, (Kind::Char, 9, 9, READ), true);
        check(json, DevicePolicy::Guest, (Kind::Char, 9, 9, MKNOD), false);
    }

    #[test]
    fn an_invalid_rule_is_refused_or_matches_nothing() {
        let refused: Vec<LinuxDeviceCgroup> =
            serde_json::from_str(r#"[{"allow":true,"type":"c","major":10,"access":"rx"}]"#).unwrap();
        assert!(Rules::of(&refused, &[], DevicePolicy::Guest).unwrap_err().to_string().contains("\"rx\""));
        let nothing = of(
            r#"[{"allow":true,"type":"c","major":4294967296}, {"allow":true,"type":"p"}]"#,
            DevicePolicy::Guest,
        );
        assert_eq!(nothing, of("[]", DevicePolicy::Guest));
    }

    #[test]
    fn repeated_rules_are_dropped() {
        let json = r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"},
            {"allow":true,"type":"c","major":10,"minor":200}]"#;
        assert_eq!(of(json, DevicePolicy::Program).0.len(), of("[]", DevicePolicy::Program).0.len() + 2);
    }
}
