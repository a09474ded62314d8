//! The port is open to whatever connects to it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use rdkafka::Offset;

use crate::support::{Host, PATIENCE, read_to_end, send_all};

fn connect(host: &Host) -> TcpStream {
    let stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether the other side closed the connection without a word. It must do that or answer.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(bytes) => bytes == 0,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("neither closed nor answered: {error}"),
    }
}

/// `ApiVersions`, version 0.
fn greet(stream: &mut TcpStream) {
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 7]);
}

// Every connection costs memory, so their number is bounded, and a place is free again when one ends.
#[test]
fn connections_beyond_the_limit_are_closed_and_places_are_given_back() {
    let host = Host::with(|options| options.connections_max = 2);
    let mut first = connect(&host);
    let mut second = connect(&host);
    greet(&mut first);
    greet(&mut second);
    assert!(is_closed(&mut connect(&host)));
    drop(first);
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        assert!(std::time::Instant::now() < deadline, "no place became free");
        let mut third = connect(&host);
        let _refused = third.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]);
        if !is_closed(&mut third) {
            break;
        }
    }
    greet(&mut second);
}

// A request that is too large, or of a kind that is not there, ends its connection and no other.
#[test]
fn a_request_that_cannot_be_answered_ends_its_connection_only() {
    let host = Host::with(|options| options.request_bytes_max = 10_000);
    let mut bystander = connect(&host);
    greet(&mut bystander);
    let requests: [&[u8]; 4] = [
        // 1 GiB to come.
        &[0x40, 0, 0, 0],
        // A negative length.
        &[0xff, 0, 0, 0],
        // An API that does not exist.
        &[0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff],
        // `Metadata` in a version that does not exist.
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 7, 0xff, 0xff],
    ];
    for request in requests {
        let mut stream = connect(&host);
        stream.write_all(request).unwrap();
        assert!(is_closed(&mut stream), "{request:02x?}");
    }
    greet(&mut bystander);
}

// A client that asks and does not read must not hold up others.
#[test]
fn a_client_that_does_not_read_its_answers_is_its_own_problem() {
    let host = Host::start();
    host.create("busy", 1);
    let big = "x".repeat(500_000);
    send_all(&host.producer(&[]), "busy", [big.as_str(), big.as_str()]);
    let mut stuck = connect(&host);
    stuck.set_nonblocking(true).unwrap();
    // Fetch, version 4: everything of partition 0, again and again.
    let mut fetch = vec![0, 1, 0, 4, 0, 0, 0, 7, 0xff, 0xff];
    fetch.extend_from_slice(&(-1_i32).to_be_bytes()); // replica
    fetch.extend_from_slice(&0_i32.to_be_bytes()); // wait
    fetch.extend_from_slice(&1_i32.to_be_bytes()); // least bytes
    fetch.extend_from_slice(&i32::MAX.to_be_bytes()); // most bytes
    fetch.push(0); // isolation
    fetch.extend_from_slice(&1_i32.to_be_bytes());
    fetch.extend_from_slice(&[0, 4]);
    fetch.extend_from_slice(b"busy");
    fetch.extend_from_slice(&1_i32.to_be_bytes());
    fetch.extend_from_slice(&0_i32.to_be_bytes()); // partition
    fetch.extend_from_slice(&0_i64.to_be_bytes()); // offset
    fetch.extend_from_slice(&i32::MAX.to_be_bytes());
    let mut request = (fetch.len() as i32).to_be_bytes().to_vec();
    request.extend_from_slice(&fetch);
    for _ in 0..2_000 {
        if stuck.write_all(&request).is_err() {
            break;
        }
    }
    let consumer = host.consumer("busy", Offset::Beginning, &[]);
    assert_eq!(read_to_end(&consumer, 1).len(), 2);
}
