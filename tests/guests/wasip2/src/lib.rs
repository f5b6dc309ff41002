//! A guest for the host's tests, built for `wasm32-wasip2`: does what programs do with their standard library, as far as
//! the channel's name asks for it, and refuses with what came of it. It passes on everything else.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jackfield_sdk::{Auth, Connection, SubscribeRequest, Verdict, export_auth, no_settings};

/// Keeps nothing.
#[derive(Debug)]
pub struct Wasip2;

impl Auth for Wasip2 {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn subscribe(&mut self, _client: &Connection, request: &SubscribeRequest) -> Verdict {
        let outcome = match request.channel.as_str() {
            "print" => print(),
            "print-much" => print_much(),
            "order" => order(),
            "clocks" => clocks(),
            "file" => said(&std::fs::read_to_string("/etc/hostname")),
            "write" => said(&std::fs::write("/tmp/wasip2-guest", "here")),
            "input" => said(&std::io::read_to_string(std::io::stdin())),
            "environment" => environment(),
            "sleep" => said(&std::thread::sleep(Duration::from_millis(1))),
            "socket" => said(&std::net::TcpStream::connect("127.0.0.1:9")),
            "exit" => std::process::exit(3),
            "panic" => panic!("asked to panic"),
            "handles" => hoard_handles(),
            _ => return Verdict::Pass,
        };
        Verdict::refuse(403, outcome)
    }
}

export_auth!(Wasip2);

fn said(outcome: &impl Debug) -> String {
    format!("{outcome:?}")
}

#[expect(clippy::print_stdout, reason = "it is what is tested")]
fn print() -> String {
    print!("printed ");
    println!("to the\tend");
    eprintln!("complained");
    "printed".to_owned()
}

/// More lines than a plugin may log in a second, and one that never ends.
#[expect(clippy::print_stdout, reason = "it is what is tested")]
fn print_much() -> String {
    println!("{}", "long".repeat(1_000));
    for number in 0..1_000 {
        println!("line {number} of a flood");
    }
    "printed".to_owned()
}

/// The keys of a map in the map's own order: another one in each instance.
fn order() -> String {
    let map: HashMap<u32, ()> = (0..20).map(|key| (key, ())).collect();
    said(&map.keys().collect::<Vec<_>>())
}

/// Seconds since 1970, and whether the other clock goes on.
fn clocks() -> String {
    let start = Instant::now();
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|since| since.as_secs());
    let mut looks = 0;
    while start.elapsed().is_zero() && looks < LOOKS {
        looks += 1;
    }
    format!("{} {}", since.unwrap_or_default(), !start.elapsed().is_zero())
}

#[expect(clippy::disallowed_methods, reason = "it is what is tested")]
fn environment() -> String {
    let folder = std::env::current_dir();
    format!(
        "{} {} {}",
        std::env::args().count(),
        std::env::vars().count(),
        folder.is_ok()
    )
}

fn hoard_handles() -> String {
    let handles: Vec<_> = (0..HANDLES)
        .map(|_| wasi::wasi::clocks::monotonic_clock::subscribe_duration(0))
        .collect();
    format!("holds {} handles", handles.len())
}

/// Enough looks at a clock to see it move.
const LOOKS: u32 = 1_000;

const HANDLES: usize = 1_000_000;

/// Functions behind the standard library, for what it does not do by itself. Whole interfaces, since they are merged with
/// those of the standard library.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all
)]
mod wasi {
    jackfield_sdk::wit_bindgen::generate!({
        inline: "package jackfield:wasip2-guest;
            world handles {
                import wasi:clocks/monotonic-clock@0.2.6;
            }
            package wasi:io@0.2.6 {
                interface poll {
                    resource pollable {
                        ready: func() -> bool;
                        block: func();
                    }
                    poll: func(in: list<borrow<pollable>>) -> list<u32>;
                }
            }
            package wasi:clocks@0.2.6 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.6.{pollable};
                    type instant = u64;
                    type duration = u64;
                    now: func() -> instant;
                    resolution: func() -> duration;
                    subscribe-instant: func(when: instant) -> pollable;
                    subscribe-duration: func(when: duration) -> pollable;
                }
            }",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
        world: "jackfield:wasip2-guest/handles",
        generate_all,
    });
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::double::{client, subscription};
    use jackfield_sdk::{Auth, Verdict};

    use super::Wasip2;

    #[test]
    fn passes_on_what_it_was_not_asked_for() {
        let mut guest = Wasip2::new("{}").expect("no settings are all it takes");
        assert_eq!(guest.subscribe(&client(), &subscription("room")), Verdict::Pass);
    }
}
