//! Shared by the interop tests: peers of all kinds, and the macros that make tests of scenarios.

pub mod certs;
pub mod data;
pub mod foreign;
pub mod mutants;
pub mod one_shot;
pub mod ours;
pub mod program;
pub mod proxies;
pub mod relay;
pub mod runtime;
pub mod side;

use core::time::Duration;

/// The longest that a scenario may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Tests `fn scenario<R: Runtime>()` on every runtime.
macro_rules! every_runtime {
    ($($scenario:ident),* $(,)?) => { $(
        mod $scenario {
            use crate::support::runtime::{Smol, Third, Tokio};

            #[test]
            fn tokio() {
                super::$scenario::<Tokio>();
            }

            #[test]
            fn smol() {
                super::$scenario::<Smol>();
            }

            #[test]
            fn third() {
                super::$scenario::<Third>();
            }
        }
    )* };
}

/// Tests `fn scenario<R: Runtime>(language: Language)`, our server against each foreign client, on both runtimes.
macro_rules! each_client {
    ($($scenario:ident),* $(,)?) => { $(
        mod $scenario {
            use crate::support::foreign::Language;
            use crate::support::runtime::{Smol, Tokio};

            #[test]
            fn tokio_python() {
                super::$scenario::<Tokio>(Language::Python);
            }

            #[test]
            fn tokio_node() {
                super::$scenario::<Tokio>(Language::Node);
            }

            #[test]
            fn smol_python() {
                super::$scenario::<Smol>(Language::Python);
            }

            #[test]
            fn smol_node() {
                super::$scenario::<Smol>(Language::Node);
            }
        }
    )* };
}

/// Tests `fn scenario<R: Runtime>(side: Side)`, our client on both runtimes against each server, our own two included.
macro_rules! each_server {
    ($($scenario:ident),* $(,)?) => { $(
        mod $scenario {
            mod tokio {
                crate::support::each_side!(super::super::$scenario::<crate::support::runtime::Tokio>);
            }

            mod smol {
                crate::support::each_side!(super::super::$scenario::<crate::support::runtime::Smol>);
            }
        }
    )* };
}

/// The four servers of [`each_server`].
macro_rules! each_side {
    ($scenario:expr) => {
        use crate::support::side::Side;

        #[test]
        fn python() {
            $scenario(Side::PYTHON);
        }

        #[test]
        fn node() {
            $scenario(Side::NODE);
        }

        #[test]
        fn our_tokio() {
            $scenario(Side::Tokio);
        }

        #[test]
        fn our_smol() {
            $scenario(Side::Smol);
        }
    };
}

pub(crate) use {each_client, each_server, each_side, every_runtime};
