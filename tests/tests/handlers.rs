//! A command handler that was built with the SDK, called as the host calls it, without log and database.

use anyhow::{Result, bail, ensure};
use lantern::plugin::{Kind, Plugin};
use lantern::wasm::{CallError, Decision, Engine, Fault, Handler, Limits};
use lantern_contract::frame::commands::{Decided, Request};
use lantern_contract::frame::events;
use lantern_tests::guest::plugin;

/// An account of the guest, with what is stored of it.
struct Account {
    engine: Engine,
    plugin: Plugin,
    limits: Limits,
    handler: Handler,
    state: Option<Vec<u8>>,
    version: u64,
}

impl Account {
    fn open(words: &[&str], limits: Limits) -> Result<Self> {
        let engine = Engine::with_limits(None, &limits)?;
        let built = plugin("account", "account", words)?;
        let plugin = Plugin::load(&engine, &built.wasm, "account.wasm", &limits)?;
        let handler = Handler::new(&engine, &plugin.component, &plugin.name, &limits)?;
        Ok(Self { engine, plugin, limits, handler, state: None, version: 0 })
    }

    /// As after a trap.
    fn renew(&mut self) -> Result<()> {
        self.handler = Handler::new(&self.engine, &self.plugin.component, &self.plugin.name, &self.limits)?;
        Ok(())
    }

    fn decide(&mut self, command: &str, payload: &str) -> Result<Decision, CallError> {
        let mut frame = Vec::new();
        let request = Request {
            aggregate: "account",
            id: "a-1",
            version: self.version,
            state: self.state.as_deref(),
            command,
            payload: payload.as_bytes(),
            time_ms: 0,
            correlation: None,
        };
        request.write(&mut frame);
        self.handler.decide(&frame)
    }

    /// Decides, and applies what was decided; answers it as text, or the rejection's code.
    fn accept(&mut self, command: &str, payload: &str) -> Result<String> {
        let decided = match self.decide(command, payload)? {
            Decision::Events(frame) => frame,
            Decision::Rejected(rejection) => return Ok(rejection.code),
        };
        let mut writer = events::Writer::new();
        let mut said = Vec::new();
        for event in Decided::parse(&decided)?.iter() {
            let event = event?;
            said.push(format!("{} {}", event.kind, String::from_utf8_lossy(event.payload)));
            let stored = events::NewEvent {
                kind: event.kind,
                topic: "accounts",
                partition: 0,
                offset: 0,
                timestamp_ms: 0,
                key: Some(b"a-1"),
                payload: Some(event.payload),
            };
            writer.push(stored, []);
        }
        let mut frame = Vec::new();
        writer.finish(&mut frame);
        self.state = Some(self.handler.evolve(self.state.as_deref(), &frame, said.len())?);
        self.version += said.len() as u64;
        Ok(said.join(", "))
    }
}

#[test]
fn a_handler_of_the_sdk_decides_rejects_and_evolves() -> Result<()> {
    let mut account = Account::open(&["accounts", "by:me"], Limits::default())?;
    ensure!(account.plugin.kind == Kind::Commands && account.plugin.manifest.topics == ["accounts"]);
    assert_eq!(account.accept("Withdraw", r#"{"cents":1}"#)?, "overdrawn");
    assert_eq!(account.accept("Deposit", r#"{"cents":5}"#)?, r#"Deposited {"cents":5,"by":"me"}"#);
    assert_eq!(account.accept("Withdraw", r#"{"cents":3}"#)?, r#"Withdrawn {"cents":3,"by":"me"}"#);
    match account.decide("Withdraw", r#"{"cents":3}"#)? {
        Decision::Rejected(rejection) => {
            assert_eq!(rejection.message, "the account has 2 cents");
            assert_eq!(rejection.detail.as_deref(), Some(r#"{"missing":1}"#));
        }
        Decision::Events(_) => bail!("the account is overdrawn"),
    }
    assert_eq!(account.accept("Touch", "")?, "");
    match account.decide("Burn", "{}") {
        Err(CallError::Failure(failure)) => {
            assert_eq!(failure.fault, Fault::BadInput);
            assert!(failure.message.contains("unknown variant `Burn`"), "{failure}");
        }
        other => bail!("{other:?}"),
    }
    assert_eq!(account.state.as_deref(), Some(&br#"{"cents":2,"events":2,"state_version":1}"#[..]));
    Ok(())
}

// Whatever it does: the command fails with its reason, and the next one is decided as if nothing had been.
#[test]
fn a_handler_that_misbehaves_fails_one_command_and_no_other() -> Result<()> {
    let limits = Limits { event_ms_max: 2_000, memory_bytes_max: 512 << 20, ..Limits::default() };
    let mut account = Account::open(&["accounts", "faulty"], limits)?;
    account.accept("Deposit", r#"{"cents":5}"#)?;
    for (fault, words) in [
        ("Loop", "event_ms_max"),
        ("Trap", "gave up"),
        ("Panic", "panicked: the account panics"),
        ("Memory", "_max"),
        ("Events", "_max"),
        ("Bytes", "_max"),
    ] {
        match account.decide("Fault", &format!("\"{fault}\"")) {
            Err(error) => assert!(error.to_string().contains(words), "{fault}: {error}"),
            Ok(_) => bail!("{fault}: it is decided"),
        }
        account.renew()?;
    }
    let error = account.accept("Fault", "\"Evolve\"").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("cannot evolve"), "{error}");
    account.renew()?;
    assert_eq!(account.accept("Withdraw", r#"{"cents":5}"#)?, r#"Withdrawn {"cents":5,"by":""}"#);
    Ok(())
}
