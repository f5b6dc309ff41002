//! What is taken from the allocator on the way of an event: something for the event, nothing for a delivery.

use allocation_counter::measure;

use super::{House, OutboxLimits};

// ARCHITECTURE.md, `hub`: "nothing is done per subscriber but appending a shared frame: no allocation, no plugin call, no JSON."
#[test]
fn a_delivery_allocates_nothing() {
    for in_flight in [1, 32] {
        for subscribers in [100, 1_000] {
            let mut house = full_house(subscribers);
            for _ in 0..WARM_UP {
                publish(&house, in_flight);
                deliver(&mut house);
            }
            publish(&house, in_flight);
            let mut delivered = 0;
            let counted = measure(|| delivered = deliver(&mut house));
            assert_eq!(delivered, subscribers * in_flight);
            let most = COPY * in_flight as u64;
            let allocations = counted.count_total;
            assert!(
                allocations <= most,
                "{allocations} for {in_flight} events to {subscribers}"
            );
        }
    }
}

// The same from the publish on, with the hub, the cluster and its driver.
#[test]
fn an_event_allocates_as_much_for_a_thousand_subscribers_as_for_a_hundred() {
    let [few, many] = [100, 1_000].map(|subscribers| {
        let mut house = full_house(subscribers);
        for _ in 0..WARM_UP {
            publish(&house, 1);
            deliver(&mut house);
        }
        let counted = measure(|| {
            publish(&house, 1);
            deliver(&mut house);
        });
        counted.count_total
    });
    assert_eq!(few, many);
}

/// So many sockets of one shard in one channel, which have read their welcome.
fn full_house(subscribers: usize) -> House {
    let mut house = House::new(OutboxLimits::default());
    for id in 0..subscribers {
        let slot = house.add(0, id as u32);
        house.join(0, slot, "room");
    }
    deliver(&mut house);
    house
}

fn publish(house: &House, events: usize) {
    for _ in 0..events {
        assert!(house.publish("room", "an event", None).expect("published"));
    }
}

/// The turns of the shard, as an event loop takes them, with sockets that take everything. Says how many frames those got.
fn deliver(house: &mut House) -> usize {
    let before = house.shards[0].deliveries;
    loop {
        let more = house.turn(0);
        let shard = &mut house.shards[0];
        while let Some(slot) = shard.next_dirty() {
            let outbox = shard.outbox_mut(slot);
            let bytes = outbox.bytes();
            outbox.advance(bytes);
        }
        if !more {
            return (shard.deliveries - before) as usize;
        }
    }
}

/// Rounds after which queues have the capacity that they keep.
const WARM_UP: usize = 4;

/// A shard's own copy of an event's frame: its bytes, and their count of references.
const COPY: u64 = 2;
