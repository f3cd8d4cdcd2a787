//! Applications that fail, over real sockets and on both runtimes: whose fault it is, what the peer is told, what is counted.

mod on_tokio {
    mod kit {
        use crate::runtimes::on_tokio as runtime;
        use sansws_tokio as ws;

        include!("scenarios/kit_body.rs");
    }

    mod errors {
        use crate::runtimes::on_tokio as runtime;
        use sansws_tokio as ws;

        include!("scenarios/errors_body.rs");
    }

    mod panics {
        use crate::runtimes::on_tokio as runtime;
        use sansws_tokio as ws;

        include!("scenarios/panics_body.rs");
    }

    mod texts {
        use crate::runtimes::on_tokio as runtime;
        use sansws_tokio as ws;

        include!("scenarios/texts_body.rs");
    }
}

mod on_smol {
    mod kit {
        use crate::runtimes::on_smol as runtime;
        use sansws_smol as ws;

        include!("scenarios/kit_body.rs");
    }

    mod errors {
        use crate::runtimes::on_smol as runtime;
        use sansws_smol as ws;

        include!("scenarios/errors_body.rs");
    }

    mod panics {
        use crate::runtimes::on_smol as runtime;
        use sansws_smol as ws;

        include!("scenarios/panics_body.rs");
    }

    mod texts {
        use crate::runtimes::on_smol as runtime;
        use sansws_smol as ws;

        include!("scenarios/texts_body.rs");
    }
}
