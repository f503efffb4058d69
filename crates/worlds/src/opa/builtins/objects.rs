//! Relations of values: their order, `object.subset`, `object.union_n`, `graph.reachable_paths`.

use std::cmp::Ordering;
use std::collections::HashSet;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Number, Value};

use super::Builtin::{self, Pure, Set, WithSets};
use super::members;

pub const ALL: &[(&str, Builtin)] = &[
    ("graph.reachable_paths", Set(reachable_paths)),
    ("object.subset", WithSets(|given| Ok(is_subset(given)?.into()))),
    ("object.union_n", Pure(union_n)),
];

/// The maximum number of nodes in all paths of a graph, and of search steps: there may be far more paths than edges.
const MAX_NODES: usize = 1 << 20;

/// Rego's order of values.
pub fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => compare_numbers(one, other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Array(one), Value::Array(other)) => {
            let pairs = one.iter().zip(other).map(|(one, other)| compare(one, other));
            pairs.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
        }
        (Value::Object(one), Value::Object(other)) => {
            let pairs = one.iter().zip(other);
            let pairs =
                pairs.map(|((name, one), (known, other))| name.cmp(known).then_with(|| compare(one, other)));
            pairs.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
        }
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

fn compare_numbers(one: &Number, other: &Number) -> Ordering {
    let whole = |number: &Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// The positions of `part` in `whole`, overlapping ones included, by the Knuth–Morris–Pratt algorithm.
pub fn occurrences<T>(whole: &[T], part: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<usize> {
    let mut borders = vec![0; part.len()];
    let mut length = 0;
    for at in 1..part.len() {
        while length > 0 && !same(&part[at], &part[length]) {
            length = borders[length - 1];
        }
        length += usize::from(same(&part[at], &part[length]));
        borders[at] = length;
    }
    let mut found = Vec::new();
    let mut length = 0;
    for (at, item) in whole.iter().enumerate() {
        while length > 0 && (length == part.len() || !same(item, &part[length])) {
            length = borders[length - 1];
        }
        length += usize::from(part.get(length).is_some_and(|next| same(item, next)));
        if length > 0 && length == part.len() {
            found.push(at + 1 - length);
        }
    }
    found
}

/// Whether the second argument is within the first: an array as a contiguous part, an object field by field, a set
/// member by member.
fn is_subset(given: &[Value]) -> anyhow::Result<bool> {
    match given {
        [whole, part] if members(whole).is_some() && members(part).is_some() => Ok(is_within(whole, part)),
        // An array may contain all members of a set.
        [Value::Array(whole), part] if let Some(part) = members(part) => Ok(all_in(whole, part)),
        [Value::Object(_), Value::Object(_)] | [Value::Array(_), Value::Array(_)] => {
            Ok(is_within(&given[0], &given[1]))
        }
        _ => bail!("both are objects, or both are arrays or sets"),
    }
}

fn all_in(whole: &[Value], part: &[Value]) -> bool {
    part.iter().all(|part| whole.iter().any(|whole| compare(whole, part).is_eq()))
}

fn is_within(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (whole, part) if let (Some(whole), Some(part)) = (members(whole), members(part)) => {
            all_in(whole, part)
        }
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| is_within(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.is_empty() || !occurrences(whole, part, |one, other| compare(one, other).is_eq()).is_empty()
        }
        (whole, part) => compare(whole, part).is_eq(),
    }
}

/// Merges objects recursively; later ones take precedence.
fn union_n(given: &[Value]) -> anyhow::Result<Value> {
    let all = given.first().and_then(Value::as_array).context("not an array")?;
    let mut union = Value::Object(Map::new());
    for one in all {
        ensure!(one.is_object(), "not an object");
        merge(&mut union, one);
    }
    Ok(union)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A search for the paths from one node.
struct Search<'a> {
    graph: &'a Map<String, Value>,
    path: Vec<&'a Value>,
    /// The nodes of the path whose neighbours are being visited. Not recursive, since a path may be long.
    open: Vec<Open<'a>>,
    reached: HashSet<String>,
    found: &'a mut Vec<Value>,
    /// The remaining budget.
    left: &'a mut usize,
}

struct Open<'a> {
    node: String,
    neighbours: &'a [Value],
    next: usize,
    /// How often a neighbour was reached before. OPA then repeats the path once more.
    ends: usize,
}

impl<'a> Search<'a> {
    /// Records the path, repeated `times` times.
    fn end(&mut self, times: usize) -> anyhow::Result<()> {
        let cost = self.path.len().saturating_mul(times);
        *self.left = self.left.checked_sub(cost).context("the paths are too many")?;
        let path = self.path.iter().cycle().take(cost).map(|node| (*node).clone());
        self.found.push(path.collect::<Vec<_>>().into());
        Ok(())
    }

    fn visit(&mut self, node: &'a Value) -> anyhow::Result<()> {
        *self.left = self.left.checked_sub(1).context("the paths are too many")?;
        let key = key(node);
        let Some(edges) = self.graph.get(&key) else { return self.end(1) };
        self.path.push(node);
        let neighbours = edges.as_array().map_or(&[][..], Vec::as_slice);
        if neighbours.is_empty() {
            self.end(1)?;
            self.path.pop();
        } else {
            self.open.push(Open { node: key, neighbours, next: 0, ends: 0 });
        }
        Ok(())
    }

    fn run(mut self, first: &'a Value) -> anyhow::Result<()> {
        self.visit(first)?;
        while let Some(open) = self.open.last_mut() {
            let Some(neighbour) = open.neighbours.get(open.next) else {
                self.open.pop();
                self.path.pop();
                continue;
            };
            open.next += 1;
            if self.reached.contains(&key(neighbour)) {
                open.ends += 1;
                let times = open.ends;
                self.end(times)?;
            } else {
                self.reached.insert(open.node.clone());
                self.visit(neighbour)?;
            }
        }
        Ok(())
    }
}

/// The name of a node in the graph: the names of a JSON object are strings.
fn key(node: &Value) -> String {
    node.as_str().map_or_else(|| node.to_string(), str::to_owned)
}

fn reachable_paths(given: &[Value]) -> anyhow::Result<Value> {
    let [Value::Object(graph), Value::Array(nodes)] = given else { bail!("not a graph and its nodes") };
    let mut found = Vec::new();
    let mut left = MAX_NODES;
    for node in nodes {
        let Some(edges) = graph.get(&key(node)) else { continue };
        let neighbours = edges.as_array().map_or(&[][..], Vec::as_slice);
        if neighbours.is_empty() {
            found.push(vec![node.clone()].into());
        }
        for neighbour in neighbours {
            let search = Search {
                graph,
                path: vec![node],
                open: Vec::new(),
                reached: HashSet::from([key(node)]),
                found: &mut found,
                left: &mut left,
            };
            search.run(neighbour)?;
        }
    }
    found.sort_by(compare);
    found.dedup();
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_found_in_wholes() {
        let check = |whole: Value, part: Value, expected: bool| {
            assert_eq!(is_subset(&[whole.clone(), part.clone()]).unwrap(), expected, "{whole} {part}");
        };
        check(json!({ "a": 1, "b": { "c": 2, "d": 3 } }), json!({ "b": { "c": 2.0 } }), true);
        check(json!({ "a": [1, 2, 3] }), json!({ "a": [2, 3] }), true);
        check(json!([1, 1, 2]), json!([1, 2]), true);
        check(json!([1, 2, 3]), json!([1, 3]), false);
        check(json!([1]), json!([]), true);
        assert_eq!(occurrences(b"aabaabaa", b"aabaa", u8::eq), [0, 3]);
        assert_eq!(occurrences(b"aaaa", b"a", u8::eq), [0, 1, 2, 3]);
    }

    #[test]
    fn paths_end_at_visited_nodes() {
        let graph = json!({ "a": ["b", "c"], "b": ["d"], "c": [], "d": ["a"] });
        assert_eq!(reachable_paths(&[graph, json!(["a"])]).unwrap(), json!([["a", "b", "d"], ["a", "c"]]));
        let long: Map<_, _> =
            (0..2000).map(|nth| (nth.to_string(), json!([(nth + 1).to_string()]))).collect();
        assert_eq!(reachable_paths(&[long.into(), json!(["0"])]).unwrap()[0].as_array().unwrap().len(), 2000);
        let all: Vec<_> = (0..200).map(|nth| nth.to_string()).collect();
        let full: Map<_, _> = all.iter().map(|name| (name.clone(), json!(all))).collect();
        assert!(reachable_paths(&[full.into(), json!(all)]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(a in super::super::tests::any(), b in super::super::tests::any()) {
            let _ = (compare(&a, &b), is_subset(&[a.clone(), b.clone()]), union_n(&[json!([a, b])]));
            let _ = reachable_paths(&[json!({ "a": a, "b": ["a", "b"] }), json!(["a", b, "b"])]);
            let _ = (reachable_paths(&[a.clone(), b.clone()]), union_n(&[a]), is_subset(&[b]));
        }
    }
}
