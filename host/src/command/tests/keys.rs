//! Idempotency keys: decided once.

use super::*;

fn versions(answers: &[Result<Answer, Error>]) -> Vec<(u64, bool)> {
    let version = |answer: &Result<Answer, Error>| match answer {
        Ok(Answer::Accepted(accepted)) => (accepted.version, accepted.is_repeated),
        other => panic!("{other:?}"),
    };
    answers.iter().map(version).collect()
}

// A client that got no answer asks again; it must not pay twice.
#[test]
fn a_key_is_decided_once_however_often_it_comes_at_once() {
    let site = Site::new();
    let account = site.start("one");
    let answers = account.submit_all(vec![keyed("a", "Split", "", "k"); 30]);
    let versions = versions(&answers);
    assert!(versions.iter().all(|(version, _)| *version == 3), "{versions:?}");
    assert_eq!(versions.iter().filter(|(_, is_repeated)| !is_repeated).count(), 1, "{versions:?}");
    // The repeated answer is the first one.
    let Ok(Answer::Accepted(first)) = &answers[0] else { unreachable!() };
    let again = account.accepted(keyed("a", "Split", "", "k"));
    assert_eq!((&again.events, &again.position), (&first.events, &first.position));
    account.stop();
    assert_eq!(site.read("accounts").len(), 3);
}

#[test]
fn a_key_with_another_command_is_refused() {
    let site = Site::new();
    let account = site.start("one");
    account.accepted(keyed("a", "Deposit", "1", "k"));
    assert_eq!(account.submit(keyed("a", "Deposit", "2", "k")), Err(Error::KeyReused));
    assert_eq!(account.submit(keyed("a", "Split", "1", "k")), Err(Error::KeyReused));
    // Also when both come at once.
    let commands = vec![keyed("a", "Deposit", "1", "m"), keyed("a", "Deposit", "2", "m")];
    let answers = account.submit_all(commands);
    assert_eq!(answers.iter().filter(|answer| **answer == Err(Error::KeyReused)).count(), 1, "{answers:?}");
    // A key belongs to its aggregate.
    assert_eq!(account.accepted(keyed("b", "Deposit", "2", "k")).version, 1);
    account.stop();
}

// "No" is an answer too: a retry that came when the account had money would turn it into a yes.
#[test]
fn a_rejection_stays_a_rejection() {
    let site = Site::new();
    let account = site.start("one");
    let withdraw = keyed("a", "Withdraw", "5", "k");
    assert!(!account.rejected(withdraw.clone()).is_repeated);
    account.accepted(command("a", "Deposit", "9"));
    let again = account.rejected(withdraw.clone());
    assert!(again.is_repeated && again.version == 0);
    account.stop();
    let account = site.start("one");
    assert_eq!(account.rejected(withdraw), again);
    account.stop();
    let decisions = site.read("accounts.decisions");
    assert_eq!(decisions.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&decisions[0].1).unwrap();
    assert_eq!(body["code"], "overdraft");
    assert_eq!(body["detail"]["cents"], 0);
    assert!(decisions[0].0.contains(&("ce_type".to_owned(), "lantern.rejected".to_owned())));
}

// Without a decision there is nothing to repeat: a corrected command may use its key.
#[test]
fn a_key_whose_command_failed_is_free() {
    let site = Site::new();
    let account = site.start("one");
    assert!(matches!(account.submit(keyed("a", "Trap", "", "k")), Err(Error::Plugin { .. })));
    let wrong = Command { expected: Some(4), ..keyed("a", "Deposit", "1", "k") };
    assert!(matches!(account.submit(wrong), Err(Error::WrongVersion { .. })));
    assert_eq!(account.accepted(keyed("a", "Deposit", "1", "k")).version, 1);
    account.stop();
}
