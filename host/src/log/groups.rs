//! Who reads the log in groups, and how far they are.

use std::fmt;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{METADATA_TIMEOUT, create, patiently};
use super::context::Context;
use super::link::offsets;
use super::{Assignment, Client, Error, Options};

/// Looks at consumer groups. Calls block for at most about five seconds for each group.
pub struct Groups {
    client: BaseConsumer<Context>,
    options: Options,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its state in Kafka's words, such as `Stable` or `Empty`.
    pub state: String,
    /// How partitions are shared out among its members; empty where there are none.
    pub protocol: String,
    /// Who is in it now.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Member {
    /// What the broker calls it.
    pub id: String,
    /// What it calls itself.
    pub client: String,
    /// Where it is.
    pub host: String,
    /// What it was given to read, as `topic/partition`.
    pub partitions: Vec<String>,
}

/// How far a group is in a partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Read {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset that it reads.
    pub committed: i64,
    /// The offset behind the last committed record; `None` where the partition is gone.
    pub end: Option<i64>,
}

impl Read {
    /// How many offsets are left, markers of transactions among them.
    pub fn lag(&self) -> Option<u64> {
        self.end.map(|end| u64::try_from(end - self.committed).unwrap_or(0))
    }
}

impl Groups {
    /// Makes a client. It connects when it is first asked something.
    ///
    /// # Errors
    /// When a setting is wrong, or there are no `bootstrap.servers`.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Ok(Groups { client: create(options, &options.consumer(None)?)?, options: options.clone() })
    }

    /// All groups, or the one of this name, in order of their names.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn list(&self, name: Option<&str>) -> Result<Vec<Group>, Error> {
        let context = self.client.context();
        context.forget();
        let answer = patiently(|| self.client.fetch_group_list(name, METADATA_TIMEOUT));
        let answer = answer.map_err(|error| context.explain_error(&error, "listing groups", None))?;
        let mut groups: Vec<Group> = answer
            .groups()
            .iter()
            // One that does not exist is described as dead.
            .filter(|group| group.state() != "Dead")
            .map(|group| Group {
                name: group.name().to_owned(),
                state: group.state().to_owned(),
                protocol: group.protocol().to_owned(),
                members: group
                    .members()
                    .iter()
                    .map(|member| Member {
                        id: member.id().to_owned(),
                        client: member.client_id().to_owned(),
                        host: member.client_host().to_owned(),
                        partitions: member.assignment().and_then(assigned).unwrap_or_default(),
                    })
                    .collect(),
            })
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// Has a group that has no members go on from these offsets.
    ///
    /// # Errors
    /// When no broker answers, or it refuses, as it does while the group has members.
    pub fn commit(&self, group: &str, next: &[Assignment]) -> Result<(), Error> {
        let what = format!("committing offsets of group `{group}`");
        let mut config = self.options.consumer(None)?;
        config.set("group.id", group);
        let client = create(&self.options, &config)?;
        let committed = offsets(next).and_then(|list| patiently(|| client.commit(&list, CommitMode::Sync)));
        committed.map_err(|error| client.context().explain_error(&error, &what, None))
    }

    /// How far a group is, in every partition in which it has committed an offset.
    ///
    /// # Errors
    /// When no broker answers, or a transaction that would move its offsets is open.
    pub fn read(&self, group: &str) -> Result<Vec<Read>, Error> {
        let what = format!("asking how far group `{group}` is");
        let mut config = self.options.consumer(None)?;
        config.set("group.id", group);
        let client = create(&self.options, &config)?;
        let looking = Client::new(&self.options)?;
        let topics = looking.topics()?;
        let mut list = TopicPartitionList::new();
        for topic in &topics {
            for partition in &topic.partitions {
                list.add_partition(&topic.name, partition.id);
            }
        }
        let context = client.context();
        let refused = |error: KafkaError| context.explain_error(&error, &what, None);
        let answer =
            patiently(|| client.committed_offsets(list.clone(), METADATA_TIMEOUT)).map_err(refused)?;
        let mut read = Vec::new();
        for element in answer.elements() {
            let Offset::Offset(committed) = element.offset() else { continue };
            let topic = topics.iter().find(|topic| topic.name == element.topic());
            let partition = topic
                .and_then(|topic| topic.partitions.iter().find(|it| it.id == element.partition()))
                .map(|partition| partition.high);
            read.push(Read {
                topic: element.topic().to_owned(),
                partition: element.partition(),
                committed,
                end: partition,
            });
        }
        read.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(read)
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What an assignment of Kafka's consumer protocol says, as `topic/partition`; `None` where it is something else.
fn assigned(bytes: &[u8]) -> Option<Vec<String>> {
    fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8; N]> {
        let (first, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(first)
    }
    let mut rest = bytes;
    let _version = take::<2>(&mut rest)?;
    let topics = i32::from_be_bytes(*take(&mut rest)?);
    let mut found = Vec::new();
    for _ in 0..topics {
        let length = usize::try_from(i16::from_be_bytes(*take(&mut rest)?)).ok()?;
        let (name, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let name = std::str::from_utf8(name).ok()?;
        for _ in 0..i32::from_be_bytes(*take(&mut rest)?) {
            found.push(format!("{name}/{}", i32::from_be_bytes(*take(&mut rest)?)));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Members send what they like: what is no assignment is no partitions, and never a fault.
    #[test]
    fn an_assignment_is_read_and_anything_else_is_not() {
        let bytes = [0, 3, 0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(assigned(&bytes), Some(vec!["ab/0".to_owned(), "ab/7".to_owned()]));
        for end in 0..bytes.len() {
            assert_eq!(assigned(&bytes[..end]), None, "{end} bytes");
        }
        assert_eq!(assigned(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
