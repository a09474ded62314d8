//! Who may ask.

use anyhow::{Context, Result, ensure};
use lantern_tests::http::{self, Raw};
use lantern_tests::log::{Log, on};
use lantern_tests::site::{Site, transcript};

fn token(site: &Site, scope: &str) -> Result<String> {
    let token = site.json(["token", "create", "--scope", scope, "--note", "a test"])?["token"].take();
    Ok(token.as_str().context("a token")?.to_owned())
}

// An address that others reach is everybody's, until somebody says who may ask there.
#[test]
fn an_address_that_others_reach_is_listened_on_only_with_tokens_or_by_consent() -> Result<()> {
    on(&Log::Embedded, |log| {
        let site = Site::new(log)?;
        let listen = site.http_address().to_owned();
        let site = site.with_replaced(&listen, &listen.replace("127.0.0.1", "0.0.0.0"))?;
        let mut host = site.start()?;
        ensure!(!host.await_end()?.success());
        drop(host);
        for words in ["other machines reach", "lantern token create", "allow_anonymous"] {
            ensure!(site.said().contains(words), "{}", site.said());
        }
        token(&site, "read")?;
        let mut host = site.start()?;
        host.await_http()?;
        // Commands of this machine need none.
        ensure!(site.lantern(["status"])?.output()?.status.success());
        ensure!(host.terminate()?.success());
        let id = site.json(["token", "list"])?[0]["id"].as_str().context("an id")?.to_owned();
        let output = site.lantern(["token", "revoke", &id])?.output()?;
        ensure!(output.status.success(), "{}", transcript(&output));
        let site = site.with_settings("allow_anonymous = true")?;
        let mut host = site.start()?;
        host.await_http()?;
        ensure!(host.terminate()?.success());
        Ok(())
    })
}

// A token allows what it is for; a wrong one allows less than none, as its sender meant to be somebody.
#[test]
fn a_token_allows_what_its_scope_says_until_it_is_revoked() -> Result<()> {
    on(&Log::Embedded, |log| {
        let site = Site::new(log)?.with_settings("token_on_loopback = true")?;
        let (read, write, admin) = (token(&site, "read")?, token(&site, "write")?, token(&site, "admin")?);
        let mut host = site.start()?;
        host.await_http()?;
        let address = site.http_address();
        let ask = |method: &str, target: &str, authorization: &str| -> Result<Raw> {
            let headers = format!("Content-Type: application/json\r\n{authorization}");
            http::send(address, &http::request(method, target, &headers, b"{}"))
        };
        let check = |method: &str, target: &str, authorization: &str, expected: u16| -> Result<()> {
            let raw = ask(method, target, authorization)?;
            ensure!(
                raw.status == expected,
                "{method} {target} {authorization:?}: {raw:?} instead of {expected}"
            );
            ensure!((raw.status == 401) == (raw.header("www-authenticate") == Some("Bearer")), "{raw:?}");
            Ok(())
        };
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let (query, events, plugin) =
            ("/v1/read-models/x/query", "/v1/topics/x/events?type=t", "/v1/plugins/x/pause");
        for (authorization, statuses) in [
            (String::new(), [401, 401, 401, 401]),
            ("Authorization: Basic eDp5\r\n".into(), [401, 401, 401, 401]),
            ("Authorization: Bearer\r\n".into(), [401, 401, 401, 401]),
            (bearer("lantern_00000000_00"), [401, 401, 401, 401]),
            (bearer(&format!("{read}0")), [401, 401, 401, 401]),
            (format!("{}{}", bearer(&read), bearer(&admin)), [401, 401, 401, 401]),
            // Not refused, but wrong or about nothing.
            (bearer(&read), [200, 400, 403, 403]),
            (bearer(&write), [200, 400, 404, 403]),
            (bearer(&admin).replace("Bearer", "bearer"), [200, 400, 404, 404]),
        ] {
            check("GET", "/v1/status", &authorization, statuses[0])?;
            check("POST", query, &authorization, statuses[1])?;
            check("POST", events, &authorization, statuses[2])?;
            check("POST", plugin, &authorization, statuses[3])?;
        }
        // Who has one may call the host by any name.
        let named = format!(
            "GET /v1/status HTTP/1.1\r\nHost: lantern.example\r\nConnection: close\r\n{}\r\n",
            bearer(&read)
        );
        ensure!(http::send(address, named.as_bytes())?.status == 200);

        let status = |token: Option<&str>| -> Result<bool> {
            let mut command = site.lantern(["history"])?;
            command.env_remove("LANTERN_TOKEN");
            if let Some(token) = token {
                command.env("LANTERN_TOKEN", token);
            }
            Ok(command.output()?.status.success())
        };
        ensure!(!status(None)? && status(Some(&read))?);
        let id = read.split('_').nth(1).context("an id")?;
        ensure!(site.lantern(["token", "revoke", id])?.output()?.status.success());
        check("GET", "/v1/status", &bearer(&read), 401)?;
        ensure!(!status(Some(&read))?);
        // What is kept is no token.
        let kept = std::fs::read(site.data().join("lantern.db"))?;
        let secret = admin.rsplit('_').next().context("a secret")?.as_bytes();
        ensure!(!kept.windows(secret.len()).any(|window| window == secret));
        ensure!(host.terminate()?.success());
        Ok(())
    })
}
