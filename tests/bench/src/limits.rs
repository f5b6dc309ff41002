//! What the precautions cost: a call, a fresh instance and a tight loop, with all of them as the host has them, and with one taken
//! away at a time.
//!
//! Stack overflows and reads outside of a memory are found by guard pages, which cost nothing, and so are not taken away.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{array, fs};

use anyhow::{Result, anyhow};
use jackfield_hub::doors::{Answer, Question};
use jackfield_wasm::{Registry, engine_config};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    Engine, Instance, InstanceAllocationStrategy, Module, Store, StoreLimits, StoreLimitsBuilder, TypedFunc,
    UpdateDeadline,
};

use crate::doors::{RULE, client, wanted};
use crate::figure::Spread;
use crate::process::root;

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package jackfield:bench@0.1.0;
        world bench {
            export jackfield:plugin/lifecycle@0.1.0;
            export jackfield:rate-limit/limiter@0.1.0;
        }
    ",
    world: "jackfield:bench/bench",
    ownership: Borrowing { duplicate_if_necessary: true },
});

use exports::jackfield::rate_limit::limiter;
use jackfield::rate_limit::counts::Rule;

/// Rounds over all variants, so that what else the machine does meets all of them alike; the medians count.
const ROUNDS: usize = 21;

/// Of each variant in a round.
const CALLS: u32 = 20_000;
const INSTANCES: u32 = 500;
const LOOPS: u32 = 10;

/// Times around a tight loop that does next to nothing: an epoch is looked at in each.
const LOOP: &str = r#"
    (module
        (func (export "loop") (param $left i32) (result i32) (local $sum i32)
            (loop $again
                (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get $left)))
                (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (local.get $sum)))
"#;
const LOOP_ROUNDS: i32 = 1_000_000;

/// Prints a table: what is taken away, and what the rest costs.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run() -> Result<()> {
    let wasm = fs::read(root()?.join("plugins/rate-limit-local.wasm"))?;
    let variants = VARIANTS.map(|(name, precautions)| Variant::new(name, &wasm, precautions));
    let variants = variants.into_iter().collect::<wasmtime::Result<Vec<_>>>();
    let mut variants = variants.map_err(|error| anyhow!("{error:#}"))?;
    let mut door = through_the_door()?;
    let ticker = Ticker::start(&variants);
    let mut times: Vec<[Vec<f64>; 3]> = variants.iter().map(|_| array::from_fn(|_| Vec::new())).collect();
    let mut asked = Vec::new();
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            times[0].push(each(CALLS, || variant.call())?);
            times[1].push(each(INSTANCES, || variant.fresh())?);
            times[2].push(each(LOOPS, || variant.turn())?);
        }
        asked.push(each(CALLS, &mut door)?);
    }
    drop(ticker);
    println!(
        "{:<58} {:>10} {:>16} {:>18}",
        "one question to rate-limit-local", "a call, ns", "an instance, us", "a million loops, us"
    );
    for (variant, times) in variants.iter().zip(times) {
        let [call, instance, turn] = times.map(|times| Spread::of(&times).median);
        println!(
            "{:<58} {call:>10.0} {:>16.1} {:>18.0}",
            variant.name,
            instance / 1e3,
            turn / 1e3
        );
    }
    println!(
        "{:<58} {:>10.0}",
        "at the host's door: its lock, budget, breaker and figures",
        Spread::of(&asked).median
    );
    Ok(())
}

/// What keeps a guest within its bounds.
#[derive(Clone, Copy)]
struct Precautions {
    epochs: bool,
    pooled: bool,
    bounded: bool,
}

const ALL: Precautions = Precautions {
    epochs: true,
    pooled: true,
    bounded: true,
};

/// What is taken away.
const VARIANTS: [(&str, Precautions); 5] = [
    ("as the host has it", ALL),
    (
        "without epochs: nothing stops a loop",
        Precautions { epochs: false, ..ALL },
    ),
    (
        "without bounds of memory, tables, handles and host calls",
        Precautions { bounded: false, ..ALL },
    ),
    (
        "instances made when they are needed, not pooled",
        Precautions { pooled: false, ..ALL },
    ),
    (
        "none of these",
        Precautions {
            epochs: false,
            pooled: false,
            bounded: false,
        },
    ),
];

/// Nanoseconds of one of `count` calls.
fn each(count: u32, mut call: impl FnMut() -> wasmtime::Result<()>) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..count {
        call().map_err(|error| anyhow!("{error:#}"))?;
    }
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(count))
}

/// Precautions, and what is run under them.
struct Variant {
    name: &'static str,
    engine: Engine,
    precautions: Precautions,
    pre: InstancePre<StoreLimits>,
    live: (Store<StoreLimits>, limiter::Guest),
    turning: (Store<StoreLimits>, TypedFunc<i32, i32>),
}

impl Variant {
    fn new(name: &'static str, wasm: &[u8], precautions: Precautions) -> wasmtime::Result<Self> {
        let mut config = engine_config();
        config.epoch_interruption(precautions.epochs);
        if !precautions.pooled {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        }
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        let live = live(&pre, precautions)?;
        let mut store = store(&engine, precautions);
        let instance = Instance::new(&mut store, &Module::new(&engine, wat::parse_str(LOOP)?)?, &[])?;
        let turn = instance.get_typed_func(&mut store, "loop")?;
        Ok(Self {
            name,
            engine,
            precautions,
            pre,
            live,
            turning: (store, turn),
        })
    }

    fn fresh(&mut self) -> wasmtime::Result<()> {
        live(&self.pre, self.precautions).map(drop)
    }

    fn call(&mut self) -> wasmtime::Result<()> {
        let (store, guest) = &mut self.live;
        if self.precautions.epochs {
            store.set_epoch_deadline(1);
        }
        let question = limiter::Question {
            scope: "publish",
            key: "1001",
            cost: 1,
            rule: Rule {
                amount: RULE.amount,
                period_ms: RULE.period_ms,
                burst: RULE.burst,
            },
            now_us: 1,
        };
        let decision = guest.call_check(store, question)?;
        wasmtime::ensure!(decision.allowed, "a question was refused");
        Ok(())
    }

    fn turn(&mut self) -> wasmtime::Result<()> {
        let (store, turn) = &mut self.turning;
        if self.precautions.epochs {
            store.set_epoch_deadline(1);
        }
        black_box(turn.call(store, LOOP_ROUNDS)?);
        Ok(())
    }
}

/// A fresh instance, initialised.
fn live(
    pre: &InstancePre<StoreLimits>,
    precautions: Precautions,
) -> wasmtime::Result<(Store<StoreLimits>, limiter::Guest)> {
    let mut store = store(pre.engine(), precautions);
    let instance = pre.instantiate(&mut store)?;
    let bench = Bench::new(&mut store, &instance)?;
    let ready = bench.jackfield_plugin_lifecycle().call_init(&mut store, "{}")?;
    ready.map_err(wasmtime::Error::msg)?;
    let guest = limiter::GuestIndices::new(pre)?.load(&mut store, &instance)?;
    Ok((store, guest))
}

fn store(engine: &Engine, precautions: Precautions) -> Store<StoreLimits> {
    let limits = StoreLimitsBuilder::new()
        .memory_size(16 << 20)
        .table_elements(10_000)
        .trap_on_grow_failure(true)
        .build();
    let mut store = Store::new(engine, limits);
    if precautions.bounded {
        store.limiter(|limits| limits);
        store.set_hostcall_fuel(1 << 20);
        store.set_max_component_handles(1_000);
    }
    if precautions.epochs {
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
    }
    store
}

/// The same question as the server asks it.
fn through_the_door() -> Result<impl FnMut() -> wasmtime::Result<()>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (apps, _) = client()?;
    let (registry, _) = Registry::load(&wanted()?, apps, runtime.handle().clone()).map_err(|error| anyhow!(error))?;
    let limiter = registry.limiter();
    Ok(move || {
        let (_, _) = (&registry, &runtime);
        let question = Question {
            scope: "publish",
            key: "1001",
            cost: 1,
            rule: RULE,
        };
        match limiter.check(&question) {
            Answer::Ready(Ok(decision)) if decision.allowed => Ok(()),
            _ => wasmtime::bail!("a question was refused"),
        }
    })
}

/// Ends the epochs of all engines, a thousand a second, until it is dropped.
struct Ticker {
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(variants: &[Variant]) -> Self {
        let engines: Vec<Engine> = variants.iter().map(|variant| variant.engine.clone()).collect();
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                engines.iter().for_each(Engine::increment_epoch);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            stopped,
            thread: Some(thread),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
