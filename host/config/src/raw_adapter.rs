//! The section `adapter`: which driver, and one section per driver, whose names are not known here.
//!
//! Without a driver the environment decides: whoever sets `REDIS_URL` or `NATS_URL` and nothing else wants that broker.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::mistakes::nearest;

/// What a plugin is handed.
pub(super) type Section = serde_json::Map<String, serde_json::Value>;

/// The section as written. Read by hand, because serde's `flatten` forgets in which line a mistake is.
#[derive(Debug, Default, Serialize)]
pub(super) struct RawAdapter {
    /// The plugin `adapter-DRIVER.wasm`, or `DRIVER.wasm`.
    pub(super) driver: Option<String>,
    /// The driver that the environment speaks of, and the variable that does.
    #[serde(skip)]
    pub(super) meant: Option<(&'static str, &'static str)>,
    /// One section per driver, handed to its plugin.
    #[serde(flatten)]
    pub(super) sections: BTreeMap<String, Section>,
}

/// Which adapter it is, why, and what it is handed.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) driver: String,
    pub(super) because: &'static str,
    pub(super) sections: BTreeMap<String, Section>,
}

impl RawAdapter {
    /// A broker by its address, from the environment: it stands in place of all addresses of the file.
    pub(super) fn mean(&mut self, driver: &'static str, variable: &'static str) -> &mut Section {
        self.meant.get_or_insert((driver, variable));
        self.sections.entry(driver.to_owned()).or_default()
    }

    /// What is meant by it all.
    pub(super) fn choose(self) -> Choice {
        let mut sections = self.sections;
        let (mut driver, because) = match (self.driver, self.meant) {
            (Some(driver), _) => (driver, "adapter.driver"),
            (None, Some((driver, variable))) => (driver.to_owned(), variable),
            (None, None) => ("local".to_owned(), "nothing else is configured"),
        };
        // Two keys of other Pusher servers: a cluster is also a mode of `redis`, and its section may be called `cluster`.
        if let Some(section) = sections.get_mut("redis") {
            let clustered = section.remove("cluster_mode") == Some(true.into());
            if clustered && driver == "redis" {
                let cluster = clustered_section(section);
                CLUSTER.clone_into(&mut driver);
                sections.insert(driver.clone(), cluster);
            }
        }
        if driver == CLUSTER
            && let Some(section) = sections.remove("cluster")
        {
            sections.entry(driver.clone()).or_insert(section);
        }
        Choice {
            driver,
            because,
            sections,
        }
    }
}

/// A section of `redis` as one of `redis-cluster`: its servers are the nodes.
fn clustered_section(redis: &Section) -> Section {
    let mut cluster = redis.clone();
    let mut nodes: Vec<serde_json::Value> = cluster.remove("url").into_iter().collect();
    for key in ["redis_pub_options", "redis_sub_options"] {
        let server = cluster.remove(key);
        let url = server.as_ref().and_then(|server| server.get("url")).cloned();
        nodes.extend(url.filter(|url| !nodes.contains(url)));
    }
    cluster.entry("nodes").or_insert(nodes.into());
    cluster
}

impl<'de> Deserialize<'de> for RawAdapter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Whole)
    }
}

/// Reads the whole.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = RawAdapter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with `driver` and one section per driver")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawAdapter, A::Error> {
        let mut raw = RawAdapter::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == DRIVER {
                raw.driver = Some(map.next_value()?);
            } else {
                let section = map.next_value_seed(OfDriver(&key))?;
                raw.sections.insert(key, section);
            }
        }
        Ok(raw)
    }
}

/// Reads what stands under a driver's name.
struct OfDriver<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for OfDriver<'_> {
    type Value = Section;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Section, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OfDriver<'_> {
    type Value = Section;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a section for the driver `{}`", self.0)?;
        match nearest(self.0, [DRIVER]) {
            Some(meant) => write!(f, "; did you mean `{meant}`?"),
            None => Ok(()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Section, A::Error> {
        Section::deserialize(MapAccessDeserializer::new(map))
    }
}

const DRIVER: &str = "driver";

const CLUSTER: &str = "redis-cluster";
