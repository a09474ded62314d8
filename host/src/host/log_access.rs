//! Where the log is, and a way to it.

use super::Error;
use crate::config::Config;
use crate::data_dir::{self, DataDir, Lock};
use crate::log;
use lantern_broker::Broker;

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
        let options = lantern_broker::Options { dir: data.log(), ..config.broker.clone() };
        let broker = Broker::start(options).await?;
        let address = broker.address().to_string();
        lock.announce_broker(&address, true)?;
        Ok(Log {
            options: at(&config.kafka, &address),
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
                Ok(Log {
                    options: at(&config.kafka, &address),
                    address,
                    place: Place::Elsewhere,
                    broker: None,
                    lock: None,
                })
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

fn at(settings: &log::Options, address: &str) -> log::Options {
    let mut options = settings.clone();
    options.set("bootstrap.servers", address);
    options
}
