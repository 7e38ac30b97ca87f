/**
 * The Content-Security-Policy of every page this app shows, one reason per directive.
 *
 * Sent as a response header by the `app:` protocol handler, so that no page can be without it.
 */
const directives: readonly (readonly [directive: string, sources: string, reason: string])[] = [
  ['default-src', "'none'", 'what is not listed is not loaded'],
  ['script-src', "'self'", 'only bundled scripts; no inline script, no eval'],
  ['style-src', "'self' 'unsafe-inline'", 'the terminal (xterm.js) computes its cell styles at run time'],
  ['font-src', "'self'", 'bundled fonts'],
  ['img-src', "'self' data: blob:", 'bundled icons; charts are exported through blob images'],
  ['connect-src', "'self'", 'lazily loaded parts of the bundle; no network'],
  ['worker-src', "'none'", 'the renderer computes nothing in the background'],
  ['form-action', "'none'", 'forms are handled by script'],
  ['base-uri', "'none'", 'relative addresses stay inside the bundle'],
  ['frame-ancestors', "'none'", 'never embedded'],
];

/** The header's value. */
export const contentSecurityPolicy = directives.map(([directive, sources]) => `${directive} ${sources}`).join('; ');
