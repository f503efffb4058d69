//! The export `greet`, as wit/greet.wit declares it: no parameters, no result, one line on stdout.

/// `greet: func()` of the world, by its name in the canonical ABI.
#[unsafe(no_mangle)]
extern "C" fn greet() {
    println!("hello from a named function of a component");
}
