//! The suite can fail: peers with one fault each are caught, by the case that should catch them and with that verdict.

use sansws_conformance::engine::Outcome;
use sansws_conformance::report::Entry;
use sansws_conformance::{Peer, Suite, Verdict};

use crate::naive::{Fault, Naive};
use crate::support::mutants::{self, Mutant};

use Fault::*;
use Peer::{Client, Server};
use Verdict::{Failed, FailedByClient, Informational, NonStrict, Unclean, WrongCode};

const MUTANTS: &[Mutant<Fault>] = &[
    (AcceptsReservedBits, Server, "3.1", Failed),
    (AcceptsReservedOpcodes, Server, "4.1.1", Failed),
    (AcceptsLongLengths, Server, "22.1.2", NonStrict),
    (AcceptsLongLengths, Client, "22.1.8", NonStrict),
    (TruncatesLengths, Server, "22.2.6", Failed),
    (WritesLongLengths, Server, "1.1.2", Failed),
    (CutsLongEchoes, Server, "1.2.7", Failed),
    (EchoesBinaryAsText, Server, "28.8.3", Failed),
    (WaitsForHugePayloads, Server, "22.2.5", NonStrict),
    (IgnoresAllButTheFirst, Server, "22.5.2", Failed),
    (CutsAtABorder, Server, "22.6.5", Failed),
    (SendsNoPongs, Server, "2.1", Failed),
    (SendsEmptyPongs, Client, "2.2", Failed),
    (AnswersPongs, Server, "2.7", Informational),
    (AcceptsLongPings, Server, "2.5", Failed),
    (AcceptsFragmentedPings, Server, "5.1", Failed),
    (AcceptsFragmentedPongs, Server, "29.2.7", Failed),
    (DelaysPongs, Server, "5.6", NonStrict),
    (AcceptsStrayContinuations, Server, "5.9", Failed),
    (AcceptsNestedMessages, Server, "5.18", Failed),
    (AcceptsNestedMessages, Client, "29.1.1", Failed),
    (ForgetsFirstPart, Server, "5.3", Failed),
    (DropsEmptyLastFragment, Server, "6.1.2", Failed),
    (JoinsInReverse, Server, "5.4", Failed),
    (MasksAgainstRole, Server, "1.1.1", Failed),
    (MasksAgainstRole, Client, "1.1.1", Failed),
    (RepeatsItsKey, Client, "23.4.1", Failed),
    (CountsItsKeys, Client, "23.4.2", Failed),
    (RepeatsAnOctet, Client, "23.4.3", Failed),
    (FixesAnOctet, Client, "23.4.4", Failed),
    (StartsItsKeysAlike, Client, "23.4.5", Failed),
    (RepeatsItsNonce, Client, "21.1.2", Failed),
    (HidesThePort, Client, "21.1.3", Failed),
    (AcceptsWrongMasks, Server, "23.1.1", Failed),
    (AcceptsWrongMasks, Client, "23.2.1", Failed),
    (RestartsTheMask, Server, "1.1.8", Failed),
    (ChecksNoUtf8, Server, "6.3.1", Failed),
    (ChecksNoUtf8, Client, "6.6.1", Failed),
    (ChecksUtf8AtTheEnd, Server, "6.4.1", NonStrict),
    (ChecksUtf8AtFrameEnds, Server, "6.4.3", NonStrict),
    (ChecksUtf8AtFrameEnds, Server, "28.7.1", NonStrict),
    (ChecksUtf8OfEachFragment, Server, "6.2.3", Failed),
    (AcceptsUnfinishedCharacters, Server, "6.6.1", Failed),
    (AcceptsUnfinishedBeforeEmptyEnd, Server, "28.3.1", Failed),
    (AcceptsSurrogates, Server, "6.20.1", Failed),
    (ClosesBadTextWith1002, Server, "6.3.1", WrongCode),
    (ChangesLineEnds, Server, "28.10.1", Failed),
    (TrimsTheEnd, Client, "28.10.2", Failed),
    (SplitsAtSeparators, Server, "28.10.11", Failed),
    (EndsAtNul, Server, "28.10.9", Failed),
    (DropsMarks, Server, "28.10.13", Failed),
    (DecodesEscapes, Client, "28.10.15", Failed),
    (ComposesAccents, Server, "28.10.23", Failed),
    (EchoesAfterClose, Server, "7.1.4", Failed),
    (AnswersNoClose, Server, "7.1.1", Failed),
    (DropsOnClose, Server, "7.1.1", Unclean),
    (AnswersWithAnotherCode, Server, "7.3.3", Informational),
    (AcceptsHalfACode, Server, "7.3.2", WrongCode),
    (AcceptsReservedCodes, Server, "7.9.3", WrongCode),
    (SendsReservedCodes, Server, "7.3.1", Failed),
    (AcceptsBadReasons, Server, "7.5.1", WrongCode),
    (AcceptsLongCloses, Server, "7.3.6", WrongCode),
    (AnswersEachClose, Server, "7.1.2", NonStrict),
    (SendsAfterClose, Server, "26.4.1", Failed),
    (SendsAfterClose, Client, "7.1.1", Failed),
    (NeverEndsTcp, Server, "7.1.1", FailedByClient),
    (RefusesNewCodes, Server, "26.1.1", WrongCode),
    (NeverFails, Server, "4.2.1", Failed),
    (IgnoresTheEndOfTcp, Server, "26.5.2", Informational),
    (IgnoresTheEndOfTcp, Client, "26.5.2", Failed),
    (IgnoresWindowBits, Server, "25.6.1", Failed),
    (KeepsItsWindow, Server, "25.8.9", Failed),
    (AcceptsCompressedContinuations, Server, "25.3.1", Failed),
    (AcceptsCompressedControls, Server, "25.3.3", Failed),
    (InflatesWithoutBound, Server, "25.5.12", NonStrict),
    (AcceptsUnknownParameters, Server, "25.1.1", Failed),
    (AnswersTooLargeAWindow, Server, "25.2.2", Failed),
    (AnswersUnaskedParameters, Server, "25.2.4", Failed),
    (ForgetsThePeersWindow, Server, "25.8.1", Failed),
    (MarksPlainMessages, Server, "25.4.1", Failed),
    (InflatesEachFragment, Server, "25.4.2", Failed),
    (StopsAtFinalBlocks, Server, "25.4.4", Failed),
    (AcceptsHalfBlocks, Server, "25.5.7", NonStrict),
    (ForgetsAtEmptyMessages, Server, "25.9.1", Failed),
    (ForgetsAtEmptyMessages, Client, "25.9.11", Failed),
    (ForgetsAtStoredBlocks, Server, "25.9.4", Failed),
    (DiesAfterFinalBlocks, Server, "25.9.5", Failed),
    (PlainEntersTheWindow, Server, "25.9.2", Failed),
    (PlainEntersTheWindow, Client, "25.9.3", Failed),
    (SendsSmallPlain, Server, "25.9.9", Failed),
    (SendsSmallPlain, Client, "25.9.9", Failed),
    (ForgetsRsv1, Server, "25.9.12", Failed),
    (AcknowledgesEightBits, Server, "25.6.8", Failed),
    (CutsCompressedAtABorder, Client, "25.10.5", Failed),
    (CutsCompressedAtABorder, Server, "25.11.1", Failed),
    (CutsCompressedAtABorder, Client, "25.12.3", Failed),
    (IgnoresWindowBits, Server, "25.11.3", Failed),
    (KeepsItsWindow, Server, "25.11.2", Failed),
    (ChangesLineEnds, Server, "25.13.1", Failed),
    (TrimsTheEnd, Client, "25.13.2", Failed),
    (EndsAtNul, Server, "25.13.9", Failed),
    (SplitsAtSeparators, Server, "25.13.11", Failed),
    (DropsMarks, Server, "25.13.13", Failed),
    (AcceptsAnyMethod, Server, "20.1.1", Failed),
    (AcceptsOldHttp, Server, "20.1.4", Failed),
    (AcceptsAnyVersion, Server, "20.6.7", Failed),
    (NamesNoVersion, Server, "20.6.7", Failed),
    (AcceptsNoHost, Server, "20.2.1", Failed),
    (AcceptsNoUpgrade, Server, "20.3.1", Failed),
    (WantsUpgradeInLowerCase, Server, "20.3.5", Failed),
    (WantsConnectionAlone, Server, "20.4.5", Failed),
    (AcceptsShortKeys, Server, "20.5.3", NonStrict),
    (AcceptsTwoKeys, Server, "20.5.9", Failed),
    (HashesTheWrongKey, Server, "1.1.1", Failed),
    (AnswersTheExampleOnly, Server, "1.1.1", Failed),
    (SpoilsPlus, Server, "20.5.12", Failed),
    (SpoilsSlash, Server, "20.5.13", Failed),
    (WritesTheUrlAlphabet, Server, "20.5.14", Failed),
    (AnswersOldHttp, Server, "20.11.1", NonStrict),
    (SendsTwoAccepts, Server, "20.11.2", Failed),
    (SendsAWrongAcceptToo, Server, "20.11.2", Failed),
    (AnnouncesALength, Server, "20.11.3", Failed),
    (AnnouncesChunks, Server, "20.11.3", Failed),
    (ChoosesAProtocol, Server, "20.9.3", Failed),
    (RefusesWithoutAnswer, Server, "20.1.1", Failed),
    (LosesWhatIsGlued, Server, "20.8.8", Failed),
    (LosesWhatIsGlued, Client, "21.7.2", Failed),
    (AcceptsHugeHeads, Server, "20.8.1", NonStrict),
    (AcceptsBadFields, Server, "20.7.1", Failed),
    (WantsHeadsInOnePiece, Server, "20.8.4", Failed),
    (TakesAnyAccept, Client, "21.4.3", Failed),
    (TakesTheFirstAccept, Client, "21.4.7", Failed),
    (SkipsABody, Client, "21.8.1", Failed),
    (TakesNoUpgrade, Client, "21.3.1", Failed),
    (TakesAnyExtension, Client, "21.5.2", Failed),
    (TakesAnyProtocol, Client, "21.5.1", Failed),
    (TakesAnyStatus, Client, "21.2.1", Failed),
    (GivesUpOnInterimResponses, Client, "21.2.10", Failed),
];

/// The outcome of a case, on the second connection of the peer.
fn outcome(case: &str, peer: Peer, fault: Option<Fault>) -> Outcome {
    let suite = Suite::new().only("1.1.1").only(case).jobs(1);
    let mut agent = suite.in_memory("mutant", peer, || Box::new(Naive::new(peer, fault)));
    let is_case = |entry: &Entry| suite.cases()[entry.case].id == case;
    let found = agent.entries.iter().position(is_case);
    agent
        .entries
        .swap_remove(found.expect("no such case for that peer"))
        .outcome
}

#[test]
fn each_mutant_is_caught_by_the_case_that_should_and_its_sound_twin_is_not() {
    mutants::are_caught(MUTANTS, outcome);
}

#[test]
fn no_fault_is_left_out() {
    mutants::are_complete(MUTANTS, include_str!("naive/fault.rs"), 40);
}

#[test]
fn the_naive_endpoint_without_a_fault_passes_all_cases() {
    for peer in [Server, Client] {
        // The long cases of families 9, 12 and 13 are run against core.
        let suite = Suite::new().quick().skip("9.*").skip("12.*").skip("13.*");
        let agent = suite.in_memory("naive", peer, || Box::new(Naive::new(peer, None)));
        mutants::is_sound(&suite, &agent);
    }
}
