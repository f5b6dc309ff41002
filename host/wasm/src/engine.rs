//! The one wasmtime engine of the process, and the clock that stops runaway guests.
//!
//! Guests that run on the caller's thread and guests that wait on fibers share the engine and their compiled code; only
//! stores differ. The epoch ticker is an operating system thread, because a task could be starved by the very guest
//! that it has to stop.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Makes the engine and starts its ticker, which ends with the engine.
pub(crate) fn start() -> wasmtime::Result<Engine> {
    let mut pooling = PoolingAllocationConfig::default();
    pooling
        .total_core_instances(INSTANCES)
        .total_component_instances(INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 2)
        .total_stacks(IO_STACKS)
        .max_memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ELEMENTS);
    let mut config = Config::new();
    config
        // Halves the cost of a call; the contract has no async functions.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .memory_reservation(MEMORY_BYTES as u64)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    let engine = Engine::new(&config)?;
    let ticked = engine.weak();
    thread::Builder::new().name("epoch-ticker".to_owned()).spawn(move || {
        while let Some(engine) = ticked.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    })?;
    Ok(engine)
}

/// What one instance may use of memory. Every default plugin needs less than 2 MiB.
pub(crate) const MEMORY_BYTES: usize = 16 << 20;

/// Elements of a guest's tables: function pointers of a large program.
pub(crate) const TABLE_ELEMENTS: usize = 10_000;

/// The time between two epochs: the granularity at which a guest can be stopped.
const TICK: Duration = Duration::from_millis(1);

/// Instances of all plugins together. Only address space is reserved for them: 256 × 16 MiB.
const INSTANCES: u32 = 256;

/// Guests that may wait at the same time, over all plugins.
const IO_STACKS: u32 = 64;

/// A guest's stack: deep recursion is a fault, not a need.
const WASM_STACK_BYTES: usize = 256 << 10;

/// Guard behind each memory. Small: with 16 MiB reserved, most bounds checks are explicit anyway.
const MEMORY_GUARD_BYTES: u64 = 64 << 10;
