// SPDX-License-Identifier: GPL-3.0-or-later
// A provider of OpenID Connect that signs in whom the test has named, without a question.
// Its configuration is JSON on standard input: {port, clients, keys}; it prints "ready" once it answers.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = createRequire(`${process.argv[2]}/package.json`);
const { Provider } = await import(pathToFileURL(installed.resolve("oidc-provider")));
const { port, clients, keys } = JSON.parse(fs.readFileSync(0));
const issuer = `http://127.0.0.1:${port}`;
const people = new Map();
let next = { sub: "nobody" };

const claims = {
  openid: ["sub"],
  profile: ["name", "preferred_username"],
  email: ["email", "email_verified"],
  eduperson_entitlement: ["eduperson_entitlement"],
};

const server = (audience, format) => ({ scope: "", audience, accessTokenFormat: format, accessTokenTTL: 600 });

const provider = new Provider(issuer, {
  clients: clients.map((client) => ({ post_logout_redirect_uris: [], ...client })),
  jwks: { keys },
  claims,
  scopes: ["openid", "offline_access"],
  cookies: { keys: ["of these tests"] },
  pkce: { required: () => true },
  ttl: { AccessToken: 600, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600 },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
  extraTokenClaims: (_ctx, token) => people.get(token.accountId)?.in_access_tokens,
  fetch: (url, { dispatcher, ...options }) => fetch(url, options), // its own dispatcher refuses loopback addresses
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_ctx, resource) => server(resource, "jwt"),
    },
  },
});

async function body(ctx) {
  const parts = [];
  for await (const part of ctx.req) parts.push(part);
  return JSON.parse(Buffer.concat(parts));
}

async function interact(ctx) {
  const { params, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  if (next.error) {
    return provider.interactionFinished(ctx.req, ctx.res, { error: next.error }, { mergeWithLastSubmission: false });
  }
  const grant = (grantId && (await provider.Grant.find(grantId))) ||
    new provider.Grant({ accountId: next.sub, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const ts = Math.floor(Date.now() / 1000) - (people.get(next.sub)?.signed_in_seconds_ago ?? 0);
  const result = { login: { accountId: next.sub, ts }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
}

// An access token as a client would have got it: {sub, client, audience, format, seconds}
async function token(ctx) {
  const { sub, client, audience, format, seconds } = await body(ctx);
  const grant = new provider.Grant({ accountId: sub, clientId: client });
  const made = new provider.AccessToken({
    accountId: sub, client: await provider.Client.find(client), grantId: await grant.save(), gty: "authorization_code",
    extra: people.get(sub)?.in_access_tokens, expiresWithSession: false, expiresIn: seconds,
  });
  made.resourceServer = new provider.ResourceServer(audience, { ...server(audience, format), accessTokenTTL: seconds });
  ctx.body = { value: await made.save(), jti: made.jti };
}

provider.use(async (ctx, proceed) => {
  if (ctx.path.startsWith("/interaction/")) return interact(ctx);
  if (ctx.path === "/test/token") return token(ctx);
  if (ctx.path === "/test/revoke") {
    const found = await provider.AccessToken.find((await body(ctx)).value);
    await found.destroy();
    ctx.body = {};
    return undefined;
  }
  if (ctx.path === "/test/next") {
    next = await body(ctx);
    if (next.sub) people.set(next.sub, next.claims ?? {});
    ctx.body = {};
    return undefined;
  }
  return proceed();
});

provider.on("server_error", (_ctx, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log("ready"));
