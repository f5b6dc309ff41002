//! From one adapter to another while clients are connected: another driver, or another section of the same one.
//!
//! The new adapter is loaded beside the old one, and the cluster goes over when everybody hears everybody there. Until then both are
//! used; going back is going over to the old one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jackfield_config::Doors;
use jackfield_driver::{Bus, BusReport};
use jackfield_wasm::OpenedAdapter;
use serde_json::{Value, json};

use crate::admin::Desk;
use crate::shared::Shared;

/// Loads the adapter that is wanted, if it is another one than before; [`Driver::go_over`] takes it from there.
///
/// [`Driver::go_over`]: jackfield_driver::Driver::go_over
///
/// # Errors
/// Why it cannot be loaded.
pub(crate) async fn prepare(shared: &Shared, doors: &Doors) -> Result<Option<Arc<Bus>>, String> {
    let settings = shared.registry.adapter_settings(&doors.adapter, &doors.configs);
    if shared.cluster.wanted().settings == settings {
        return Ok(None);
    }
    if let Some(bus) = shared.cluster.attached(&settings) {
        return Ok(Some(bus));
    }
    shared.cluster.room().map_err(|error| error.to_string())?;
    let opened = shared.registry.open_adapter(&doors.adapter, &doors.configs).await?;
    Ok(Some(Arc::new(bus(opened))))
}

/// For the cluster.
pub(crate) fn bus(opened: OpenedAdapter) -> Bus {
    Bus {
        name: opened.name,
        settings: opened.settings,
        adapter: opened.door,
    }
}

/// `GET /adapters`: those that are attached, and for whom going over waits.
pub(crate) async fn status(State(desk): State<Desk>) -> Json<Value> {
    let (buses, waits_for) = desk.shared.cluster.report();
    let alone = buses.iter().all(|bus| bus.target || bus.left);
    let adapters: Vec<Value> = buses.iter().map(|bus| described(bus, alone)).collect();
    Json(json!({ "adapters": adapters, "waits_for": waits_for }))
}

fn described(bus: &BusReport, alone: bool) -> Value {
    let state = match (bus.target, bus.left) {
        (true, _) if alone => "used",
        (true, _) => "used as soon as all are there",
        (false, true) => "left",
        (false, false) => "used until all have left it",
    };
    json!({
        "name": bus.name,
        "state": state,
        "publishes": bus.publishes,
        "down": bus.down,
    })
}
