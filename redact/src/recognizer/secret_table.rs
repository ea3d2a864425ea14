//! Credentials that begin with a prefix of their own: prefix, body, length.
//!
//! Written from the vendors' public documentation; the choice of rules follows gitleaks (MIT, see
//! NOTICE).

use super::secret::Body::{self, Base64, Dotted, Hex, Letters, Token, Upper};
use crate::entity::Entity;
use crate::finding::Rule;

pub(super) struct Prefix {
    pub(super) rule: Rule,
    pub(super) prefix: &'static str,
    pub(super) body: Body,
    pub(super) least: usize,
    pub(super) most: usize,
}

const fn row(id: &'static str, prefix: &'static str, body: Body, least: usize, most: usize) -> Prefix {
    let rule = Rule::new(id, Entity::Secret, 95, 95).checked("prefix, alphabet and length").unmoved();
    Prefix { rule, prefix, body, least, most }
}

#[rustfmt::skip]
pub(super) static PREFIXES: &[Prefix] = &[
    row("aws-access-key", "AKIA", Upper, 16, 16), row("aws-session-key", "ASIA", Upper, 16, 16),
    row("aws-role", "AROA", Upper, 16, 16), row("aws-bedrock", "ABSK", Token, 40, 200),
    row("github-classic", "ghp_", Letters, 36, 36), row("github-oauth", "gho_", Letters, 36, 36),
    row("github-user", "ghu_", Letters, 36, 36), row("github-server", "ghs_", Letters, 36, 36),
    row("github-refresh", "ghr_", Letters, 36, 80), row("github-fine-grained", "github_pat_", Token, 40, 100),
    row("gitlab", "glpat-", Token, 20, 60), row("gitlab-deploy", "gldt-", Token, 20, 60),
    row("gitlab-runner", "glrt-", Token, 20, 60), row("gitlab-pipeline", "glptt-", Token, 40, 60),
    row("openai-project", "sk-proj-", Token, 20, 220), row("openai-service", "sk-svcacct-", Token, 20, 220),
    row("openai-admin", "sk-admin-", Token, 20, 220), row("anthropic", "sk-ant-", Token, 20, 160),
    row("openrouter", "sk-or-v1-", Hex, 64, 64), row("openai", "sk-", Letters, 32, 64),
    row("slack-bot", "xoxb-", Token, 20, 120), row("slack-user", "xoxp-", Token, 20, 160),
    row("slack-app", "xapp-", Token, 20, 200), row("slack-legacy", "xoxa-", Token, 20, 160),
    row("slack-refresh", "xoxe-", Token, 20, 200), row("slack-webhook", "https://hooks.slack.com/", Base64, 40, 120),
    row("discord-webhook", "https://discord.com/api/webhooks/", Base64, 60, 120),
    row("stripe-secret", "sk_live_", Letters, 16, 128), row("stripe-test", "sk_test_", Letters, 16, 128),
    row("stripe-restricted", "rk_live_", Letters, 16, 128), row("stripe-restricted-test", "rk_test_", Letters, 16, 128),
    row("stripe-webhook", "whsec_", Token, 24, 80), row("google-api", "AIza", Token, 35, 35),
    row("google-oauth", "ya29.", Token, 20, 240), row("google-client-secret", "GOCSPX-", Token, 20, 40),
    row("hugging-face", "hf_", Letters, 30, 40), row("npm", "npm_", Letters, 36, 36),
    row("pypi", "pypi-AgEI", Token, 40, 250), row("sendgrid", "SG.", Dotted, 60, 80),
    row("twilio-key", "SK", Hex, 32, 32), row("twilio-account", "AC", Hex, 32, 32),
    row("shopify-access", "shpat_", Hex, 32, 32), row("shopify-custom", "shpca_", Hex, 32, 32),
    row("shopify-private", "shppa_", Hex, 32, 32), row("shopify-shared", "shpss_", Hex, 32, 32),
    row("digitalocean", "dop_v1_", Hex, 64, 64), row("digitalocean-oauth", "doo_v1_", Hex, 64, 64),
    row("databricks", "dapi", Hex, 32, 34), row("grafana-service", "glsa_", Token, 32, 64),
    row("grafana-cloud", "glc_", Base64, 32, 400), row("groq", "gsk_", Letters, 40, 60),
    row("replicate", "r8_", Letters, 30, 44), row("linear", "lin_api_", Letters, 40, 40),
    row("notion", "ntn_", Letters, 40, 60), row("postman", "PMAK-", Token, 50, 64),
    row("vault", "hvs.", Token, 24, 200),
    row("mailgun", "key-", Hex, 32, 32), row("square", "sq0csp-", Token, 40, 50), row("new-relic", "NRAK-", Upper, 27, 27),
    row("doppler", "dp.pt.", Letters, 40, 44), row("age", "AGE-SECRET-KEY-1", Upper, 58, 58),
];
