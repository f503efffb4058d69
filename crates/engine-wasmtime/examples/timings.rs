#![allow(warnings, unsafe_code, clippy::all)]
use std::time::{Duration, Instant};
use std::io::Write;
use engine::{Compiled, Engine};
use engine_wasmtime::Wasmtime;
use workload::*;
fn threads() -> usize { std::fs::read_dir("/proc/self/task").unwrap().count() }
fn ms(d: Duration) -> f64 { d.as_secs_f64() * 1e3 }
fn rss(what: &str) {
    let s = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let get = |k: &str| s.lines().find(|l| l.starts_with(k)).unwrap_or("").split_whitespace().nth(1).unwrap_or("0").to_owned();
    eprintln!("   {what}: Pss {} kB, Private_Dirty {} kB", get("Pss:"), get("Private_Dirty:"));
}
fn main() { if std::env::args().len() == 1 { return epochs(); }
    let t = Instant::now();
    let e = Wasmtime::new().unwrap();
    eprintln!("new {:.2} ms, threads {}", ms(t.elapsed()), threads());
    rss("after new");
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path).unwrap();
        let wasm = wat::parse_bytes(&bytes).unwrap().into_owned();
        let world = World::detect(&wasm, None).unwrap();
        let t = Instant::now();
        let code = e.compile(&wasm).unwrap();
        eprintln!("{path}: {} bytes, compile {:.2} ms -> {} bytes, threads {}", wasm.len(), ms(t.elapsed()), code.len(), threads());
        let mut f = tempfile::tempfile().unwrap(); f.write_all(&code).unwrap();
        for i in 0..4 {
            let code = unsafe { Compiled::vouched(f.try_clone().unwrap()) };
            let guest = Guest { world: world.clone(), args: vec!["a".into()], env: vec![], cwd: "/".into(),
                preopens: vec![Preopen { path: "/".into(), access: Access::ReadWrite }], memory: None };
            let t = Instant::now();
            let m = e.map(code, &world).unwrap(); let t1 = t.elapsed();
            let l = m.load(guest).unwrap(); let t2 = t.elapsed();
            let x = l.run(); let t3 = t.elapsed();
            eprintln!("  map {:.3} load {:.3} run {:.3} ms {:?}", ms(t1), ms(t2 - t1), ms(t3 - t2), x);
        }
        rss("after runs");
    }
}

fn epochs() {
    let text = r#"(module (func (export "run") (param i64) (result i64) (local $x i64)
      (loop $l
        (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 31)) (local.get 0)))
        (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
        (br_if $l (i64.ne (local.get 0) (i64.const 0))))
      (local.get $x))
      (memory 1)
      (func (export "mem") (param i64) (result i64) (local $i i32) (local $x i64)
      (loop $l
        (local.set $i (i32.and (i32.add (local.get $i) (i32.const 8)) (i32.const 0xfff8)))
        (local.set $x (i64.add (local.get $x) (i64.load (local.get $i))))
        (i64.store (local.get $i) (local.get $x))
        (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
        (br_if $l (i64.ne (local.get 0) (i64.const 0))))
      (local.get $x)))"#;
    for (what, epoch, reservation) in [("plain", false, 4u64 << 30), ("epochs", true, 4 << 30), ("no reservation", false, 0), ("plain", false, 4 << 30), ("epochs", true, 4 << 30)] {
        let mut c = wasmtime::Config::new();
        c.epoch_interruption(epoch).memory_reservation(reservation);
        let e = wasmtime::Engine::new(&c).unwrap();
        let m = wasmtime::Module::new(&e, wat::parse_str(text).unwrap()).unwrap();
        let mut s = wasmtime::Store::new(&e, ());
        if epoch { s.set_epoch_deadline(1 << 40); }
        let i = wasmtime::Instance::new(&mut s, &m, &[]).unwrap();
        for f in ["run", "mem"] {
            let g = i.get_typed_func::<i64, i64>(&mut s, f).unwrap();
            let best = (0..5).map(|_| { let t = Instant::now(); g.call(&mut s, 300_000_000).unwrap(); t.elapsed() }).min().unwrap();
            eprintln!("{what:16} {f}: {:.1} ms, {:.2} ns/iteration", ms(best), best.as_secs_f64() * 1e9 / 3e8);
        }
    }
}
