//! Where the log is, and a way to it.

use super::Error;
use crate::config::Config;
use crate::data_dir::{self, DataDir, Lock, Moved};
use crate::log;
use lantern_broker::{Broker, Inside, Login};

/// What is behind the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A broker that is configured.
    Configured,
    /// The embedded broker of another process, which holds the data folder.
    Elsewhere,
    /// The embedded broker of this process.
    Here,
}

/// A way to the log, for as long as it is held.
pub struct Log {
    options: log::Options,
    address: String,
    place: Place,
    broker: Option<Broker>,
    /// Freed after the broker has stopped.
    lock: Option<Lock>,
}

impl Log {
    /// For who writes read models: takes the data folder, and starts the embedded broker where no other is
    /// configured.
    ///
    /// # Errors
    /// When the folder is taken or the broker does not start.
    pub async fn own(config: &Config, data: &DataDir, command: &str) -> Result<Log, Error> {
        let mut lock = data.lock(command)?;
        guard(config, data).await?;
        if let Some(servers) = config.kafka.servers() {
            lock.announce_broker(servers, false)?;
            return Ok(Log {
                options: config.kafka.clone(),
                address: servers.to_owned(),
                place: Place::Configured,
                broker: None,
                lock: Some(lock),
            });
        }
        Log::start(config, data, lock).await
    }

    /// For who moves what reads the log: the data folder, and its own log, whatever else is configured.
    ///
    /// # Errors
    /// When the folder is taken or the broker does not start.
    pub async fn embedded(config: &Config, data: &DataDir, command: &str) -> Result<Log, Error> {
        Log::start(config, data, data.lock(command)?).await
    }

    async fn start(config: &Config, data: &DataDir, mut lock: Lock) -> Result<Log, Error> {
        let options = lantern_broker::Options { dir: data.log(), ..config.broker.clone() };
        let broker = Broker::start(options).await?;
        let address = broker.address().to_string();
        lock.announce_broker(&address, true)?;
        let way = broker.inside();
        Ok(Log {
            options: inside(&config.kafka, &way.address.to_string(), way.login.as_ref()),
            address,
            place: Place::Here,
            broker: Some(broker),
            lock: Some(lock),
        })
    }

    /// For who only uses the log: a configured broker, else that of the process which holds the data
    /// folder, else one of our own until this is closed.
    ///
    /// # Errors
    /// When one of our own is needed and does not start.
    pub async fn reach(config: &Config, data: &DataDir, command: &str) -> Result<Log, Error> {
        if let Some(servers) = config.kafka.servers() {
            return Ok(Log {
                options: config.kafka.clone(),
                address: servers.to_owned(),
                place: Place::Configured,
                broker: None,
                lock: None,
            });
        }
        match Log::own(config, data, command).await {
            Err(Error::DataDir(data_dir::Error::Held { root, holder })) => {
                let Some(address) = holder.broker.clone() else {
                    return Err(data_dir::Error::Held { root, holder }.into());
                };
                let options = match (holder.embedded, Inside::of(&data.log())) {
                    (true, Some(way)) => inside(&config.kafka, &way.address.to_string(), way.login.as_ref()),
                    (true, None) => inside(&config.kafka, &address, None),
                    (false, _) => at(&config.kafka, &address),
                };
                Ok(Log { options, address, place: Place::Elsewhere, broker: None, lock: None })
            }
            other => other,
        }
    }

    /// Tells others where HTTP is answered; who holds no data folder has nobody to tell.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn announce_http(&mut self, address: &str) -> Result<(), Error> {
        match &mut self.lock {
            Some(lock) => Ok(lock.announce_http(address)?),
            None => Ok(()),
        }
    }

    /// The client's settings.
    pub fn options(&self) -> &log::Options {
        &self.options
    }

    /// `host:port`, or several.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is behind it.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Stops the embedded broker, if it is ours.
    ///
    /// # Errors
    /// When it cannot write its last bytes.
    pub async fn close(self) -> Result<(), Error> {
        match self.broker {
            Some(broker) => Ok(broker.shutdown().await?),
            None => Ok(()),
        }
    }
}

/// Refuses a log that is not the one whose offsets the data folder has: to go on from those would lose and repeat events, and
/// nobody would notice.
async fn guard(config: &Config, data: &DataDir) -> Result<(), Error> {
    let root = || data.root().display().to_string();
    let servers = config.kafka.servers().map(str::to_owned);
    match (data.moved()?, servers) {
        (None, None) => Ok(()),
        (None, Some(servers)) => {
            let is_read = !data.read_models().is_empty() || !data.aggregate_types().is_empty();
            if data.has_topics() && is_read { Err(Error::NotMoved { root: root(), servers }) } else { Ok(()) }
        }
        (Some(moved), _) if !moved.is_done => Err(Error::Moving { root: root() }),
        (Some(Moved { cluster, servers, .. }), None) => Err(Error::Moved { root: root(), cluster, servers }),
        (Some(moved), Some(servers)) => {
            let options = config.kafka.clone();
            let asked = tokio::task::spawn_blocking(move || log::Client::new(&options)?.cluster_id()).await;
            match asked {
                Ok(Ok(Some(found))) if found != moved.cluster => {
                    Err(Error::OtherCluster { root: root(), servers, found, cluster: moved.cluster })
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        "cannot tell whether {servers} is the cluster that this data folder was moved to: {error}"
                    );
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }
}

fn at(settings: &log::Options, address: &str) -> log::Options {
    let mut options = settings.clone();
    options.set("bootstrap.servers", address);
    options
}

/// The embedded broker has a login of its own for those who may read its folder, where it asks for one. Whatever else is set is about
/// another broker.
fn inside(settings: &log::Options, address: &str, login: Option<&Login>) -> log::Options {
    let mut options = at(settings, address);
    match login {
        None => options.set("security.protocol", "plaintext"),
        Some(login) => options.extend([
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", login.user.as_str()),
            ("sasl.password", login.password.as_str()),
        ]),
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_broker::Credential;

    /// Whoever sets users for other machines must lock out neither the host nor its commands.
    #[test]
    fn a_broker_that_asks_for_a_password_lets_its_own_host_in() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let mut config = Config::default();
        config.broker.users.insert("alice".into(), Credential::new("x").unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let here = runtime.block_on(Log::own(&config, &data, "lantern run")).unwrap();
        let elsewhere = runtime.block_on(Log::reach(&config, &data, "lantern topics")).unwrap();
        assert_eq!(*elsewhere.place(), Place::Elsewhere);
        assert_eq!(elsewhere.address(), here.address(), "people are told where users connect");
        for log in [&here, &elsewhere] {
            log::Client::new(log.options()).unwrap().topics().unwrap();
        }
        runtime.block_on(here.close()).unwrap();
    }
}
