//! The life of a plugin inside its component: made by `init`, kept in one slot, borrowed for each call.
//!
//! The four export macros put these pieces together; an author uses [`no_settings`] alone.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use crate::bindings::lifecycle::exports::jackfield::plugin::lifecycle;

/// Where a component keeps its plugin: empty until `init` has made it.
pub type Slot<P> = RefCell<Option<P>>;

/// A plugin that can be made and has a place to stay. Implemented by the export macros, whatever the plugin's door.
pub trait Resident: Sized + 'static {
    /// Calls `new` of the door's trait.
    ///
    /// # Errors
    ///
    /// The plugin's own.
    fn make(config: &str) -> Result<Self, String>;

    /// The component's one slot for this plugin.
    fn slot() -> &'static LocalKey<Slot<Self>>;
}

/// What the generated export macros take for the component: it bears the generated traits of the plugin's door.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: Resident> lifecycle::Guest for Exported<P> {
    fn init(config: String) -> Result<(), String> {
        // First of all, so that a panic in the author's `new` is told as well.
        #[cfg(target_arch = "wasm32")]
        report_panics();
        let plugin = P::make(&config)?;
        P::slot().with_borrow_mut(|slot| *slot = Some(plugin));
        Ok(())
    }
}

/// Calls the plugin in its slot.
///
/// # Panics
///
/// If there was no `init`: a host that breaks the contract meets a trap, not an answer.
pub(crate) fn call<P: Resident, R>(act: impl FnOnce(&mut P) -> R) -> R {
    P::slot().with_borrow_mut(|slot| match slot {
        Some(plugin) => act(plugin),
        None => panic!("called before `init` succeeded"),
    })
}

/// For plugins without settings: refuses a configuration that has any, so that a mistyped key is not ignored.
///
/// # Errors
///
/// If `config` is anything but an empty JSON object.
pub fn no_settings(config: &str) -> Result<(), String> {
    let inside = config.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match inside.map(str::trim) {
        Some("") => Ok(()),
        _ => Err(format!("this plugin has no settings, but was given {config}")),
    }
}

/// A panic ends in a trap, which has no text; so what it said and where goes to the host's log first.
#[cfg(target_arch = "wasm32")]
fn report_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let said = panic.payload_as_str().unwrap_or("no message");
            match panic.location() {
                Some(place) => crate::host::error(&format!("panic: {said} ({place})")),
                None => crate::host::error(&format!("panic: {said}")),
            }
        }));
    });
}

/// The parts that the four export macros share: the slot, and the component's exports where there is a component.
///
/// On other targets nothing is exported, because the names of a component's exports are not names that a native linker
/// takes; `make` still checks the plugin's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, $door:ident, $world:ident) => {
        const _: () = {
            ::std::thread_local! {
                static SLOT: $crate::plugin::Slot<$plugin> = const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::plugin::Resident for $plugin {
                fn make(config: &str) -> ::core::result::Result<Self, ::std::string::String> {
                    <Self as $crate::$door>::new(config)
                }

                fn slot() -> &'static ::std::thread::LocalKey<$crate::plugin::Slot<Self>> {
                    &SLOT
                }
            }

            // A use of the plugin where nothing is exported, or a private type would seem to be dead.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn(&str) -> ::core::result::Result<$plugin, ::std::string::String> =
                <$plugin as $crate::plugin::Resident>::make;

            // The plugin's own version, for operators.
            #[cfg(target_arch = "wasm32")]
            #[used]
            #[unsafe(link_section = "version")]
            static VERSION: [u8; VERSION_TEXT.len()] = {
                let mut bytes = [0; VERSION_TEXT.len()];
                bytes.copy_from_slice(VERSION_TEXT.as_bytes());
                bytes
            };
            #[cfg(target_arch = "wasm32")]
            const VERSION_TEXT: &str = ::core::env!("CARGO_PKG_VERSION");

            #[cfg(target_arch = "wasm32")]
            type Export = $crate::plugin::Exported<$plugin>;
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::lifecycle::export!(Export with_types_in $crate::bindings::lifecycle);
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::$world::export!(Export with_types_in $crate::bindings::$world);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::lifecycle::Guest;
    use super::{Exported, Resident, call, no_settings};
    use crate::Auth;

    struct Counter(u32);

    impl Auth for Counter {
        fn new(config: &str) -> Result<Self, String> {
            config.parse().map(Self).map_err(|_| format!("{config} is no number"))
        }
    }

    crate::export_auth!(Counter);

    fn init(config: &str) -> Result<(), String> {
        Exported::<Counter>::init(config.to_owned())
    }

    #[test]
    fn a_plugin_keeps_its_state_between_calls() {
        assert_eq!(init("5"), Ok(()));
        call(|counter: &mut Counter| counter.0 += 1);
        assert_eq!(call(|counter: &mut Counter| counter.0), 6);
    }

    #[test]
    fn a_failed_init_leaves_no_plugin() {
        assert_eq!(init("five"), Err("five is no number".to_owned()));
        assert!(Counter::slot().with_borrow(Option::is_none));
    }

    #[test]
    #[should_panic(expected = "called before `init` succeeded")]
    fn a_call_before_init_panics() {
        call(|counter: &mut Counter| counter.0);
    }

    #[test]
    fn no_settings_takes_an_empty_object_alone() {
        for empty in ["{}", " { }\n", "{\t}"] {
            assert_eq!(no_settings(empty), Ok(()), "{empty:?}");
        }
        for other in ["", "null", "[]", "{", r#"{"a":1}"#] {
            assert!(no_settings(other).is_err(), "{other:?}");
        }
    }
}
