//! Guests that no compiler makes, in WebAssembly's text format: what they declare and what they grow is bounded.

use crate::harness::heard::Heard;
use crate::harness::stand::{Layout, Stand};

/// A component for the adapter door. `parts` are declared in its core module, `body` runs at each publish.
fn component(parts: &str, body: &str) -> Vec<u8> {
    let memory = if parts.contains("(memory") {
        ""
    } else {
        r#"(memory (export "memory") 1)"#
    };
    let text = ADAPTER
        .replace("MEMORY", memory)
        .replace("PARTS", parts)
        .replace("BODY", body);
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn layout(parts: &str, body: &str) -> Layout {
    let layout = Layout::new().at("adapter", "bomb", component(parts, body));
    layout.file("bomb.toml", "[limits]\npause_after = 0\ncpu_ms = 100")
}

fn fault(parts: &str) -> String {
    let faults = layout(parts, "").stand().registry.faults();
    let own = faults.into_iter().find(|fault| fault.contains("`bomb`"));
    own.unwrap_or_else(|| panic!("{parts} went live"))
}

/// Why a publish failed.
fn failure(stand: &Stand, heard: &Heard) -> String {
    stand.drive_until("the adapter to run", heard, || {
        stand.publish(heard, "room", 7);
        heard.told().failed.iter().any(|(_, reason)| reason.contains("stopped"))
    });
    let mut failed = heard.take().failed.into_iter();
    failed
        .find(|(_, reason)| reason.contains("stopped"))
        .expect("it was just there")
        .1
}

// What stands in the other tests in place of this body would otherwise prove nothing.
#[test]
fn a_harmless_one_is_an_adapter() {
    let (stand, heard) = (layout("", "").ready(), Heard::default());
    for ticket in 0..100 {
        stand.publish(&heard, "room", ticket);
    }
    assert_eq!(heard.told().failed, []);
    assert_eq!(stand.report("bomb").calls, 101, "one start and a hundred publishes");
}

#[test]
fn a_table_does_not_grow_for_ever() {
    let grow = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1))))";
    let (stand, heard) = (layout("(table $t 1 funcref)", grow).ready(), Heard::default());
    for _ in 0..REPEATS {
        let reason = failure(&stand, &heard);
        assert!(reason.contains("table"), "{reason}");
    }
}

#[test]
fn a_memory_does_not_grow_for_ever() {
    let grow = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
    let (stand, heard) = (layout("", grow).ready(), Heard::default());
    for _ in 0..REPEATS {
        let reason = failure(&stand, &heard);
        assert!(reason.contains("memory"), "{reason}");
    }
}

#[test]
fn what_is_declared_is_bounded_as_well() {
    for parts in [
        "(table 20000 funcref)",
        "(table 4294967295 funcref)",
        r#"(memory (export "memory") 300)"#,
        r#"(memory (export "memory") 65536)"#,
    ] {
        let fault = fault(parts);
        assert!(!fault.contains("parse"), "{fault}");
    }
}

#[test]
fn a_start_function_is_a_call_like_any_other() {
    let endless = fault("(func $main (loop (br 0))) (start $main)");
    assert!(endless.contains("interrupt"), "{endless}");
    let trapping = fault("(func $main unreachable) (start $main)");
    assert!(trapping.contains("unreachable"), "{trapping}");
}

#[test]
fn answers_that_are_no_answers() {
    for (what, body) in [
        (
            "an error whose text lies outside of the memory",
            "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const -8)) (i32.store (i32.const 24) (i32.const 100))",
        ),
        (
            "an error of four gigabytes",
            "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const -1))",
        ),
        (
            "an answer that is neither good nor bad",
            "(i32.store8 (i32.const 16) (i32.const 2))",
        ),
        (
            "an error that is no UTF-8",
            "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 32)) (i32.store (i32.const 24) (i32.const 1)) (i32.store8 (i32.const 32) (i32.const 255))",
        ),
    ] {
        let (stand, heard) = (layout("", body).ready(), Heard::default());
        let reason = failure(&stand, &heard);
        assert!(!reason.is_empty(), "{what}");
        assert_eq!(stand.report("bomb").traps, 1, "{what}: {reason}");
    }
}

/// Repeats of a fault that costs microseconds, and a pause of 100 ms before the adapter is started again.
const REPEATS: u32 = 3;

/// An adapter that answers everything with good news. Its memory holds nothing, so the result at 16 reads as `ok`.
const ADAPTER: &str = r#"
(component
  (core module $guest
    MEMORY
    PARTS
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "well") (param i32 i32) (result i32) (i32.const 16))
    (func (export "publish") (param i32 i32) (result i32) BODY (i32.const 16))
    (func (export "unfollow") (param i32 i32))
    (func (export "stop")))
  (core instance $guest (instantiate $guest))
  (alias core export $guest "memory" (core memory $memory))
  (alias core export $guest "realloc" (core func $realloc))
  (type $envelope (record (field "topic" string) (field "frame" (list u8)) (field "ticket" (option u64))))
  (func $init (param "config" string) (result (result (error string)))
    (canon lift (core func $guest "well") (memory $memory) (realloc $realloc)))
  (func $start (param "node" string) (result (result (error string)))
    (canon lift (core func $guest "well") (memory $memory) (realloc $realloc)))
  (func $publish (param "batch" (list $envelope)) (result (result (error string)))
    (canon lift (core func $guest "publish") (memory $memory) (realloc $realloc)))
  (func $follow (param "topics" (list string)) (result (result (error string)))
    (canon lift (core func $guest "well") (memory $memory) (realloc $realloc)))
  (func $unfollow (param "topics" (list string))
    (canon lift (core func $guest "unfollow") (memory $memory) (realloc $realloc)))
  (func $stop (canon lift (core func $guest "stop")))
  (component $bus
    (type $record (record (field "topic" string) (field "frame" (list u8)) (field "ticket" (option u64))))
    (import "envelope-in" (type $in (eq $record)))
    (import "start-in" (func $start (param "node" string) (result (result (error string)))))
    (import "publish-in" (func $publish (param "batch" (list $in)) (result (result (error string)))))
    (import "follow-in" (func $follow (param "topics" (list string)) (result (result (error string)))))
    (import "unfollow-in" (func $unfollow (param "topics" (list string))))
    (import "stop-in" (func $stop))
    (export $out "envelope" (type $in))
    (export "start" (func $start))
    (export "publish" (func $publish) (func (param "batch" (list $out)) (result (result (error string)))))
    (export "follow" (func $follow))
    (export "unfollow" (func $unfollow))
    (export "stop" (func $stop)))
  (instance $bus (instantiate $bus
    (with "envelope-in" (type $envelope))
    (with "start-in" (func $start))
    (with "publish-in" (func $publish))
    (with "follow-in" (func $follow))
    (with "unfollow-in" (func $unfollow))
    (with "stop-in" (func $stop))))
  (instance $lifecycle (export "init" (func $init)))
  (export "jackfield:plugin/lifecycle@0.1.0" (instance $lifecycle))
  (export "jackfield:adapter/bus@0.1.0" (instance $bus)))
"#;
