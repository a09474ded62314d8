//! What a plugin's SQL may not do, decided by SQLite's authorizer when a statement is prepared.

use super::{RESERVED_PREFIX, outbox};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Result};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

/// Whose statements are being prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Actor {
    /// Lantern's own.
    Host = 0,
    /// The plugin's schema.
    Schema = 1,
    /// The plugin, while it applies events.
    Plugin = 2,
    /// A person or program that reads.
    Reader = 3,
}

/// The switch between actors, and the reason of the last refusal.
#[derive(Clone, Debug)]
pub struct Authorizer {
    actor: Arc<AtomicU8>,
    refusal: Arc<Mutex<Option<String>>>,
    /// Whether the plugin sends commands, so that it may write the outbox.
    sends: Arc<AtomicBool>,
    /// Whether the statement being prepared writes the outbox: only then it may look into it, for its own key.
    is_sending: Arc<AtomicBool>,
}

impl Authorizer {
    /// Installs it on a connection; the actor is [`Actor::Host`].
    pub fn install(connection: &mut Connection) -> Result<Self> {
        let authorizer = Authorizer {
            actor: Arc::default(),
            refusal: Arc::default(),
            sends: Arc::default(),
            is_sending: Arc::default(),
        };
        let seen = authorizer.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| match seen.judge(&context) {
            Ok(()) => Authorization::Allow,
            Err(reason) => {
                if let Ok(mut last) = seen.refusal.lock() {
                    *last = Some(reason);
                }
                Authorization::Deny
            }
        }))?;
        Ok(authorizer)
    }

    /// Who prepares from now on.
    pub fn set(&self, actor: Actor) {
        self.is_sending.store(false, Ordering::Relaxed);
        self.actor.store(actor as u8, Ordering::Relaxed);
    }

    /// Whether the plugin may write the outbox.
    pub fn let_send(&self, sends: bool) {
        self.sends.store(sends, Ordering::Relaxed);
    }

    /// Why the last statement was refused, if it was; asked once.
    pub fn take_refusal(&self) -> Option<String> {
        self.refusal.lock().ok().and_then(|mut last| last.take())
    }

    fn judge(&self, context: &AuthContext<'_>) -> std::result::Result<(), String> {
        let actor = match self.actor.load(Ordering::Relaxed) {
            0 => return Ok(()),
            1 => Actor::Schema,
            2 => Actor::Plugin,
            _ => Actor::Reader,
        };
        if context.database_name == Some("temp") && !matches!(context.action, AuthAction::Read { .. }) {
            return Err("temporary tables are not offered: state belongs into the schema".into());
        }
        if let Some(judged) = self.judge_outbox(actor, context.action) {
            return judged;
        }
        match context.action {
            AuthAction::Select | AuthAction::Recursive => Ok(()),
            AuthAction::Read { table_name, .. } => table(actor, table_name),
            AuthAction::Function { function_name } => function(actor, function_name),
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => {
                if actor == Actor::Reader {
                    return Err("this connection only reads".into());
                }
                table(actor, table_name)
            }
            AuthAction::CreateTable { table_name }
            | AuthAction::CreateIndex { table_name, .. }
            | AuthAction::CreateTrigger { table_name, .. }
            | AuthAction::CreateVtable { table_name, .. }
            | AuthAction::DropTable { table_name }
            | AuthAction::AlterTable { table_name, .. }
                if actor == Actor::Schema =>
            {
                table(actor, table_name)
            }
            AuthAction::CreateView { view_name } | AuthAction::DropView { view_name }
                if actor == Actor::Schema =>
            {
                table(actor, view_name)
            }
            AuthAction::DropIndex { .. } | AuthAction::DropTrigger { .. } | AuthAction::Reindex { .. }
                if actor == Actor::Schema =>
            {
                Ok(())
            }
            // FTS5 asks for it to notice changes; it reads a counter.
            AuthAction::Pragma { pragma_name: "data_version", pragma_value: None } => Ok(()),
            AuthAction::Pragma { pragma_name, .. } => {
                Err(format!("PRAGMA {pragma_name} is not offered: the engine owns the settings"))
            }
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
                Err("BEGIN, COMMIT, ROLLBACK and SAVEPOINT belong to the engine: a batch is one transaction"
                    .into())
            }
            AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
                Err("ATTACH and DETACH are not offered: a read model is one file".into())
            }
            _ if actor == Actor::Reader => Err("this connection only reads".into()),
            _ => Err("tables are made by the manifest's schema, not while events are applied".into()),
        }
    }
}

impl Authorizer {
    /// What a plugin does with the outbox; `None` where it is about something else. A plugin writes it and does not read it:
    /// what is in it depends on when it was sent, which no replay repeats.
    fn judge_outbox(&self, actor: Actor, action: AuthAction<'_>) -> Option<std::result::Result<(), String>> {
        let (name, is_write) = match action {
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => (table_name, true),
            AuthAction::Read { table_name, .. } => (table_name, false),
            _ => return None,
        };
        if actor != Actor::Plugin || !name.eq_ignore_ascii_case(outbox::TABLE) {
            return None;
        }
        if !self.sends.load(Ordering::Relaxed) {
            return Some(Err(
                "commands are sent by process managers: name the aggregates in the manifest's `sends`".into(),
            ));
        }
        if is_write {
            self.is_sending.store(true, Ordering::Relaxed);
        } else if !self.is_sending.load(Ordering::Relaxed) {
            return Some(Err(format!(
                "{name} cannot be read: when a command was sent is no fact of the log; keep what you need in a table"
            )));
        }
        Some(Ok(()))
    }
}

fn table(actor: Actor, name: &str) -> std::result::Result<(), String> {
    let lower = name.to_ascii_lowercase();
    // Readers may look at how far a read model is; plugins may not depend on it.
    if lower.starts_with(RESERVED_PREFIX) && actor != Actor::Reader {
        return Err(format!("{name} is Lantern's own: names starting with {RESERVED_PREFIX} are reserved"));
    }
    // It reads the whole file within one step, at which no deadline looks.
    if lower == "dbstat" && actor == Actor::Reader {
        return Err("dbstat is not offered: open the file with SQLite's own tool".into());
    }
    // Making a table writes the catalog of tables.
    if lower.starts_with("sqlite_") && actor == Actor::Plugin {
        return Err(format!(
            "{name} is SQLite's own: tables are made by the manifest's schema, not while events are applied"
        ));
    }
    Ok(())
}

fn function(actor: Actor, name: &str) -> std::result::Result<(), String> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "load_extension" => Err("load_extension() is not offered".into()),
        "random" | "randomblob" if actor != Actor::Reader => {
            Err(format!("{lower}() gives other rows at every replay: derive what you need from the event"))
        }
        _ => Ok(()),
    }
}
