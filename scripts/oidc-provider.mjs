// A certified OpenID provider (npm: oidc-provider) for scripts/test-oidc: one client, and people who may sign
// in under any name with any password. Usage: oidc-provider.mjs PORT REDIRECT_URI
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const people = { ann: ['developers', 'staff'], bob: [] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'layerhouse', client_secret: 'a secret & more', redirect_uris: [redirect] }],
  pkce: { required: () => true },
  conformIdTokenClaims: false, // groups and names in the token itself
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: `id-of-${id}`, name: `${id} of the tests`, preferred_username: id,
      email: `${id}@example.com`, email_verified: true, groups: people[id] ?? [],
    }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
