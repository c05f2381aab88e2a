//! `reprise trust-issuer`.

#![expect(clippy::print_stdout, reason = "the command's answer")]

use anyhow::{Context, Result, ensure};
use chassis::config::KeyArgs;
use chassis::identity::{Algorithm, Keyring, OidcIssuer, OidcSettings};

/// Trust an identity provider (OpenID Connect) for people and groups
///
/// Fetches the provider's keys once, to see that it works, and writes it into the trust file. Running
/// services that read this file trust the provider within ten seconds; copy trust.json to the keys of
/// the others. To change or remove a provider, edit trust.json.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    /// The trust file.
    pub keys: KeyArgs,

    /// The provider's URL: the `iss` of its tokens, to the letter
    #[arg(value_name = "ISSUER")]
    pub issuer: String,

    /// What `aud` of its tokens must contain
    #[arg(long, value_name = "AUDIENCE")]
    pub audience: String,

    /// What stands before its people, such as `okta:` for user:okta:alice@example.com
    #[arg(long, value_name = "PREFIX")]
    pub subject_prefix: String,

    /// The claim that names a person; an `email` that the provider has not verified is refused
    #[arg(long, value_name = "CLAIM", default_value = "sub")]
    pub subject_claim: String,

    /// The claim that names a person's groups [default: groups do not count]
    #[arg(long, value_name = "CLAIM")]
    pub groups_claim: Option<String>,

    /// What stands before its groups [default: what stands before its people]
    #[arg(long, value_name = "PREFIX")]
    pub group_prefix: Option<String>,

    /// How its tokens may be signed: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA;
    /// can be given again
    #[arg(long = "algorithm", value_name = "ALGORITHM", default_value = "RS256",
          value_parser = algorithm)]
    pub algorithms: Vec<Algorithm>,

    /// Where its keys are [default: where its discovery document says]
    #[arg(long, value_name = "URL")]
    pub jwks_uri: Option<String>,

    /// Write the trust file without asking the provider
    #[arg(long)]
    pub offline: bool,
}

fn algorithm(name: &str) -> Result<Algorithm, &'static str> {
    Algorithm::named(name).ok_or("no algorithm that a provider may sign with")
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let Args {
        keys,
        issuer,
        audience,
        subject_prefix,
        subject_claim,
        groups_claim,
        group_prefix,
        algorithms,
        jwks_uri,
        offline,
    } = args;
    let settings = OidcSettings {
        issuer,
        audience,
        algorithms,
        subject_claim,
        subject_prefix,
        groups_claim,
        group_prefix,
        jwks_uri,
    };
    let keyring = Keyring::open(&keys.keys)?;
    let issuer = OidcIssuer::new(settings.clone())?;
    let name = issuer.name();
    // What is wrong with the file is told before the provider is asked.
    keyring.trust()?.with_oidc(settings.clone())?;
    let its_keys = if offline {
        "not asked for".to_owned()
    } else {
        let keys = keys.oidc_client()?.try_out(&issuer).await;
        let keys = keys.with_context(|| format!("{name} cannot be trusted"))?;
        ensure!(
            !keys.is_empty(),
            "{name} has no key for the algorithms {:?}: name its own with --algorithm",
            settings.algorithms
        );
        keys.join(", ")
    };
    keyring.trust_issuer(settings.clone())?;

    let OidcSettings {
        issuer: _,
        audience,
        algorithms: _,
        subject_claim,
        subject_prefix,
        groups_claim,
        group_prefix: _,
        jwks_uri: _,
    } = settings;
    let groups = match groups_claim {
        Some(claim) => format!("group:{}<{claim}>", issuer.group_prefix()),
        None => "none".to_owned(),
    };
    println!(
        "{name} is trusted in {}/trust.json
  tokens for  {audience}
  people      user:{subject_prefix}<{subject_claim}>
  groups      {groups}
  keys        {its_keys}

Copy trust.json to the keys of every service that does not read this one; running services notice
within ten seconds. Then bind roles to these names.",
        keys.keys.display()
    );
    Ok(())
}
