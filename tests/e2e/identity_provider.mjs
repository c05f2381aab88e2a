// An OpenID Connect provider on a free port of the loopback interface, for tests.
//
//   node identity_provider.mjs <folder with node_modules>
//
// Reads commands as lines of JSON, and answers each with one line of JSON:
//
//   {"start": {}}                                  {"issuer": "http://127.0.0.1:…"}
//   {"token": {"client": …, "audience": …}}        {"token": …}, fetched over HTTP as by any client
//   {"rotate": {}}                                 {}: a new key in place of the old one
//   {"stop": {}}                                   {}: nobody is there any more
//
// Its clients are `alice`, who is in no group, and `bob`, who is in the group `on-call`.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// Only answers go to standard output.
console.info = console.error;

const modules = `${process.argv[2]}/node_modules`;
const { default: Provider } = await import(
  pathToFileURL(`${modules}/oidc-provider/lib/index.js`)
);

const secret = 'only for tests';
const groups = { alice: [], bob: ['on-call'] };

let issuer;
let handle;

const server = createServer((request, response) => handle(request, response));

function provider() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' };
  return new Provider(issuer, {
    jwks: { keys: [key] },
    clients: Object.keys(groups).map((client) => ({
      client_id: client,
      client_secret: secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          audience,
          scope: '',
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    ttl: { ClientCredentials: 600 },
    extraTokenClaims: (_, token) => ({ groups: groups[token.clientId] }),
  }).callback();
}

const commands = {
  async start() {
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    issuer = `http://127.0.0.1:${server.address().port}`;
    handle = provider();
    return { issuer };
  },

  async token({ client, audience }) {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client}:${encodeURIComponent(secret)}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience }),
    });
    const { access_token: token } = await response.json();
    return { token };
  },

  async rotate() {
    handle = provider();
    return {};
  },

  async stop() {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [[name, parameters]] = Object.entries(JSON.parse(line));
  console.log(JSON.stringify(await commands[name](parameters)));
}
process.exit();
