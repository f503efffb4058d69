//! Looks up each of its arguments and prints `NAME: ADDRESS ADDRESS` or `NAME: error` with the
//! error.

use std::net::ToSocketAddrs;

fn main() {
    for name in std::env::args().skip(1) {
        match (name.as_str(), 0).to_socket_addrs() {
            Ok(found) => {
                let addresses: Vec<String> = found.map(|address| address.ip().to_string()).collect();
                println!("{name}: {}", addresses.join(" "));
            }
            Err(error) => println!("{name}: error {error}"),
        }
    }
}
