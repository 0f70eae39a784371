/** The OpenAPI 3.1 document, made from the schemas that check the requests. */
import { type App, base } from './routes.ts';

const description = `\
Projects, agents and API keys of this gateway, and what happens to them. Errors are problem
details (RFC 9457): \`detail\` says what to do. Times are RFC 3339. Lists come in pages: hand
\`next_cursor\` on as \`cursor\`.`;

const info = {
  title: 'Mibo OTLP gateway: admin API',
  version: '1.0.0',
  description,
  license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
};

const scheme = 'adminToken';

/** To be called after all routes are there. */
export function addDocument(app: App, { hasToken }: { readonly hasToken: boolean }): void {
  if (hasToken) {
    app.openAPIRegistry.registerComponent('securitySchemes', scheme, {
      type: 'http',
      scheme: 'bearer',
      description: 'The value of admin.token.',
    });
  }
  const security = hasToken ? { security: [{ [scheme]: [] }] } : {};
  let text: string | undefined;
  app.get(`${base}/openapi.json`, (c) => {
    // Once, and only where somebody asks.
    text ??= JSON.stringify(app.getOpenAPI31Document({ openapi: '3.1.0', info, ...security }));
    return c.body(text, 200, { 'content-type': 'application/json' });
  });
}
