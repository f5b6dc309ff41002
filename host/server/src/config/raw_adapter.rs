//! The section `adapter`: which driver, and one section per driver, whose names are not known here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::mistakes::nearest;

/// What a plugin is handed.
pub(super) type Section = serde_json::Map<String, serde_json::Value>;

/// The section as written. Read by hand, because serde's `flatten` forgets in which line a mistake is.
#[derive(Debug)]
pub(super) struct RawAdapter {
    /// The plugin `adapter-DRIVER.wasm`, or `DRIVER.wasm`.
    pub(super) driver: String,
    /// One section per driver, handed to its plugin.
    pub(super) sections: BTreeMap<String, Section>,
}

impl Default for RawAdapter {
    fn default() -> Self {
        Self {
            driver: "local".to_owned(),
            sections: BTreeMap::new(),
        }
    }
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
                raw.driver = map.next_value()?;
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
