//! The cases over HTTP/2 can fail: endpoints with one fault each are caught, by the case that should catch them and with that verdict.

use sansws_conformance::engine::Outcome;
use sansws_conformance::run::memory::Subject;
use sansws_conformance::{Peer, Suite, Verdict};

use crate::naive::Naive;
use crate::naive_http2::{Fault, NaiveHttp2};
use crate::support::mutants::{self, Mutant};

use Fault::*;
use Peer::{Client, Server};
use Verdict::{Failed, FailedByClient, Informational};

const MUTANTS: &[Mutant<Fault>] = &[
    (EnablesTwice, Server, "30.1.1", Failed),
    (TakesItBack, Server, "30.1.2", Failed),
    (AcknowledgesNothing, Server, "30.1.1", Failed),
    (DiesAtUnknownSettings, Server, "30.1.4", Failed),
    (WantsProtocolFirst, Server, "30.2.4", Failed),
    (RefusesPriority, Server, "30.2.7", Failed),
    (IgnoresContinuation, Server, "30.2.8", Failed),
    (IgnoresContinuation, Client, "31.2.3", Failed),
    (ChoosesASubprotocol, Server, "30.2.1", Failed),
    (ChoosesAnExtension, Server, "30.2.3", Failed),
    (AnswersWith101, Server, "30.2.1", Failed),
    (SendsConnection, Server, "30.2.1", Failed),
    (SendsAnAccept, Server, "30.2.10", Informational),
    (AcceptsNoScheme, Server, "30.3.1", Failed),
    (AcceptsNoPath, Server, "30.3.2", Failed),
    (AcceptsAnyProtocol, Server, "30.3.5", Failed),
    (AcceptsNoProtocol, Server, "30.3.7", Failed),
    (AcceptsTwoPaths, Server, "30.3.8", Failed),
    (AcceptsLatePseudo, Server, "30.3.10", Failed),
    (AcceptsUnknownPseudo, Server, "30.3.11", Failed),
    (AcceptsUppercase, Server, "30.3.13", Failed),
    (AcceptsLineFeeds, Server, "30.3.14", Failed),
    (AcceptsConnectionFields, Server, "30.3.16", Failed),
    (AcceptsAnyVersion, Server, "30.3.20", Failed),
    (TakesOneStream, Server, "30.4.1", Failed),
    (EndsAllAtReset, Server, "30.4.2", Failed),
    (MixesStreams, Server, "30.4.1", Failed),
    (SharesAWindow, Server, "30.4.7", Failed),
    (SendsAKey, Client, "31.1.3", Informational),
    (OmitsTheVersion, Client, "31.1.2", Failed),
    (GivesUpOnInterim, Client, "31.2.1", Failed),
    (TakesAnyStatus, Client, "31.3.1", Failed),
    (TakesAnySubprotocol, Client, "31.4.1", Failed),
    (TakesAnyExtension, Client, "31.4.2", Failed),
    (TakesNoStatus, Client, "31.4.3", Failed),
    (TakesLateStatus, Client, "31.4.4", Failed),
    (Takes101, Client, "31.4.7", Failed),
    (WantsAnAccept, Client, "31.2.5", Informational),
    (WantsWholeFrames, Server, "32.1.4", Failed),
    (WantsWholeFrames, Client, "32.1.4", Failed),
    (EndsAtEmptyData, Server, "32.1.6", Failed),
    (EchoesPadding, Client, "32.1.7", Failed),
    (GivesNoRoom, Server, "32.1.8", Failed),
    (GivesNoRoom, Client, "32.1.8", Failed),
    (IgnoresTheWindow, Server, "32.2.2", Failed),
    (ForgetsWhatItSent, Server, "32.2.4", Failed),
    (ForgetsWhatItSent, Client, "32.2.4", Failed),
    (IgnoresNewWindows, Server, "32.2.5", Failed),
    (WantsMuchRoom, Server, "32.2.3", Failed),
    (DropsPings, Server, "32.3.1", Failed),
    (DiesAtUnknownFrames, Client, "32.3.2", Failed),
    (NeverEndsTheStream, Server, "32.4.1", FailedByClient),
    (EchoesAfterReset, Server, "32.4.4", Failed),
    (TakesTrailers, Server, "32.4.5", Failed),
    (TakesTrailers, Client, "32.4.5", Failed),
    (TakesLongFrames, Server, "32.6.1", Failed),
    (TakesStreamZero, Server, "32.6.3", Failed),
    (TakesLongPadding, Server, "32.6.4", Failed),
    (TakesHugeWindows, Server, "32.6.5", Failed),
    (TakesEmptyUpdates, Client, "32.6.6", Failed),
    (TakesInterruptions, Server, "32.6.10", Failed),
    (TakesBadBlocks, Server, "32.6.11", Failed),
    (TakesBadSettings, Server, "32.6.8", Failed),
];

fn naive(peer: Peer) -> Box<dyn Subject> {
    Box::new(Naive::new(peer, None))
}

fn outcome(case: &str, peer: Peer, fault: Option<Fault>) -> Outcome {
    let suite = Suite::new().only(case).http2().jobs(1);
    let make = || -> Box<dyn Subject> { Box::new(NaiveHttp2::new(peer, fault, Box::new(naive))) };
    let mut agent = suite.in_memory("mutant", peer, make);
    agent
        .entries
        .pop()
        .expect("no such case for that peer")
        .outcome
}

#[test]
fn each_mutant_is_caught_by_the_case_that_should_and_its_sound_twin_is_not() {
    mutants::are_caught(MUTANTS, outcome);
}

#[test]
fn no_fault_is_left_out() {
    mutants::are_complete(MUTANTS, include_str!("naive_http2/fault.rs"), 50);
}

/// The cases about HTTP/2, and those of RFC 6455 and RFC 7692 on a stream.
#[test]
fn the_naive_endpoint_without_a_fault_passes_all_cases() {
    for peer in [Server, Client] {
        let suite = Suite::new().quick().http2();
        // The long cases are run over HTTP/1.1.
        let suite = suite.skip("9.*").skip("12.*").skip("13.*");
        let make =
            || -> Box<dyn Subject> { Box::new(NaiveHttp2::new(peer, None, Box::new(naive))) };
        let agent = suite.in_memory("naive", peer, make);
        mutants::is_sound(&suite, &agent);
        assert!(agent.entries.len() > 500, "{}", agent.entries.len());
    }
}
