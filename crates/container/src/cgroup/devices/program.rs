//! Compiles device rules to a BPF program, which the kernel runs whenever a process of the cgroup opens or creates a
//! device (`BPF_PROG_TYPE_CGROUP_DEVICE`). Pure. Terms: the kernel's
//! `Documentation/bpf/standardization/instruction-set.rst`.
//!
//! The program tests the rules from the last to the first and tracks the requested accesses that are still undecided.
//! A rule that refuses one of them refuses all; when none is left, everything was allowed.

use super::rules::{ALL, Rule, Rules};

/// One instruction: the operation, the registers, the distance of a jump, the constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// The destination in the low four bits, the source in the high ones.
    registers: u8,
    offset: i16,
    constant: u32,
}

/// `r = *(u32 *)(s + offset)`
const LOAD: u8 = 0x61;
/// `r = constant`, and the like, in 32 bits.
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
/// Jumps, always or when `r != constant`, `r & constant`, in 32 bits.
const JUMP: u8 = 0x05;
const IF_NOT_EQUAL: u8 = 0x56;
const IF_ANY: u8 = 0x46;
const EXIT: u8 = 0x95;

/// Registers: the result, and the context, `struct bpf_cgroup_dev_ctx`.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// The requested accesses that are still undecided.
const ASKED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Compiles `rules`. A request for no access, which only checks that the file exists, is allowed.
pub(super) fn compile(rules: &Rules) -> Vec<Instruction> {
    const MINOR_AT: i16 = 8;
    const MAJOR_AT: i16 = 4;
    let load = |register, offset| Instruction {
        code: LOAD,
        registers: (CONTEXT << 4) | register,
        offset,
        constant: 0,
    };
    let mut program = vec![
        load(KIND, 0),
        Instruction { code: MOVE_REGISTER, registers: (KIND << 4) | ASKED, offset: 0, constant: 0 },
        with(SHIFT_RIGHT, ASKED, 16),
        with(AND, KIND, 0xffff),
        load(MAJOR, MAJOR_AT),
        load(MINOR, MINOR_AT),
    ];
    program.extend(unless(IF_NOT_EQUAL, ASKED, 0, &answer(true)));
    for rule in rules.0.iter().rev() {
        program.extend(of(rule));
        if rule.is_of_everything() {
            // The verifier rejects unreachable instructions.
            return program;
        }
    }
    program.extend(answer(false));
    program
}

/// The instructions of one rule.
fn of(rule: &Rule) -> Vec<Instruction> {
    let done = match (rule.allow, rule.access) {
        (allow, ALL) => answer(allow).into(),
        (true, access) => {
            let mut done = vec![with(AND, ASKED, ALL & !access)];
            done.extend(unless(IF_NOT_EQUAL, ASKED, 0, &answer(true)));
            done
        }
        (false, access) => {
            let on = Instruction { offset: 2, ..with(JUMP, 0, 0) };
            let mut done = unless(IF_ANY, ASKED, access, &[on]);
            done.extend(answer(false));
            done
        }
    };
    let about = [(KIND, rule.kind.map(|kind| kind as u32)), (MAJOR, rule.major), (MINOR, rule.minor)];
    let about = about.into_iter().rev().filter_map(|(register, number)| Some((register, number?)));
    about.fold(done, |inner, (register, number)| unless(IF_NOT_EQUAL, register, number, &inner))
}

/// `inner`, skipped when the condition holds.
fn unless(condition: u8, register: u8, constant: u32, inner: &[Instruction]) -> Vec<Instruction> {
    // No rule has much more than ten.
    let offset = inner.len() as i16;
    let jump = Instruction { offset, ..with(condition, register, constant) };
    std::iter::once(jump).chain(inner.iter().copied()).collect()
}

fn answer(allow: bool) -> [Instruction; 2] {
    [with(MOVE, ANSWER, u32::from(allow)), with(EXIT, 0, 0)]
}

fn with(code: u8, register: u8, constant: u32) -> Instruction {
    Instruction { code, registers: register, offset: 0, constant }
}

#[cfg(test)]
mod tests {
    use super::super::rules::tests::{allowed, of as rules_of};
    use super::super::rules::{DevicePolicy, Kind, MKNOD, READ, WRITE};
    use super::*;

    /// Runs a program as the kernel would; `None` where the kernel would reject it.
    fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, asked: u32) -> Option<bool> {
        let context = [(asked << 16) | kind as u32, major, minor];
        let mut registers = [0_u32; 6];
        let mut at = 0;
        loop {
            let Instruction { code, registers: both, offset, constant } = *program.get(at)?;
            let (to, from) = (usize::from(both & 0xf), usize::from(both >> 4));
            at += 1;
            let jumps = match code {
                LOAD => {
                    registers[to] = *context.get(usize::try_from(offset).ok()? / 4)?;
                    false
                }
                MOVE => {
                    registers[to] = constant;
                    false
                }
                MOVE_REGISTER => {
                    registers[to] = registers[from];
                    false
                }
                AND => {
                    registers[to] &= constant;
                    false
                }
                SHIFT_RIGHT => {
                    registers[to] >>= constant;
                    false
                }
                JUMP => true,
                IF_NOT_EQUAL => registers[to] != constant,
                IF_ANY => registers[to] & constant != 0,
                EXIT => return Some(registers[0] == 1),
                _ => return None,
            };
            // Forward jumps only.
            at += if jumps { usize::try_from(offset).ok()? } else { 0 };
        }
    }

    fn agrees(rules: &[Rule]) {
        let program = compile(&Rules::shortest(rules.to_vec()));
        for kind in [Kind::Block, Kind::Char] {
            for (major, minor) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 3), (136, 7), (u32::MAX, 1 << 20)] {
                for asked in 0..=ALL {
                    let expected = allowed(rules, kind, major, minor, asked);
                    let result = run(&program, kind, major, minor, asked);
                    assert_eq!(result, Some(expected), "{kind:?} {major}:{minor} {asked} by {rules:?}");
                }
            }
        }
    }

    #[test]
    fn the_program_agrees_with_the_rules() {
        for policy in [DevicePolicy::Guest, DevicePolicy::Program] {
            agrees(&rules_of("[]", policy).0);
            agrees(&rules_of(r#"[{"allow":true}, {"allow":false,"type":"b","access":"wm"}]"#, policy).0);
        }
    }

    /// Lists of up to six pseudo-random rules.
    #[test]
    fn so_it_does_for_any_rules() {
        let mut seed = 1_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..3000 {
            let rules: Vec<_> = (0..next(7))
                .map(|_| Rule {
                    allow: next(2) == 0,
                    kind: [None, Some(Kind::Block), Some(Kind::Char)][next(3) as usize],
                    major: [None, Some(0), Some(1), Some(u32::MAX)][next(4) as usize],
                    minor: [None, Some(0), Some(1), Some(1 << 20)][next(4) as usize],
                    access: [ALL, READ, WRITE, MKNOD, READ | WRITE, WRITE | MKNOD][next(6) as usize],
                })
                .collect();
            agrees(&rules);
        }
    }
}
