/**
 * What a page may not do (Electron's security checklist), tried from inside the page.
 */
import { expect, test } from './fixtures.ts';

test('the page has no Node and no Electron, only the bridge', async ({ page }) => {
  const found = await page.evaluate(() => ({
    names: ['process', 'require', 'module', 'Buffer', 'global', 'electron', 'ipcRenderer'].filter(
      (name) => name in window,
    ),
    bridge: Object.keys(window.bulkhead).sort(),
    frozen: Object.isFrozen(window.bulkhead) && Object.isFrozen(window.bulkhead.engine),
  }));
  expect(found.names).toEqual([]);
  expect(found.bridge).toEqual(['engine', 'facts', 'files', 'menu', 'openExternal', 'theme', 'window']);
  expect(found.frozen).toBe(true);
});

test('the bridge cannot be replaced by the page', async ({ page }) => {
  const outcome = await page.evaluate(() => {
    const before = window.bulkhead;
    try {
      (window as { bulkhead: unknown }).bulkhead = {};
    } catch {
      // Refused, as it should be in strict mode.
    }
    return window.bulkhead === before;
  });
  expect(outcome).toBe(true);
});

test('leaving the app is refused', async ({ page }) => {
  const before = page.url();
  await page.evaluate(() => {
    const link = document.createElement('a');
    link.href = 'https://example.com/';
    document.body.append(link);
    link.click();
  });
  // The bridge still answers: the same document is there.
  await expect.poll(() => page.evaluate(() => typeof window.bulkhead)).toBe('object');
  expect(page.url()).toBe(before);
});

test('new windows are refused', async ({ app, page }) => {
  const opened = await page.evaluate(() => window.open('https://example.com/', '_blank') === null);
  expect(opened).toBe(true);
  const windows = await app.evaluateMain(({ BrowserWindow }) => BrowserWindow.getAllWindows().length, null);
  expect(windows).toBe(1);
});

test('permissions are denied', async ({ page }) => {
  const states = await page.evaluate(async () => {
    const names = ['geolocation', 'notifications', 'camera', 'microphone', 'midi'];
    const answers = await Promise.all(
      names.map((name) => navigator.permissions.query({ name: name as PermissionName })),
    );
    return answers.map((answer) => answer.state);
  });
  expect(new Set(states)).toEqual(new Set(['denied']));
});

test('the content security policy is in force', async ({ page }) => {
  const outcome = await page.evaluate(async () => {
    const violations: string[] = [];
    document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
    const inline = document.createElement('script');
    inline.textContent = 'window.inlineRan = true';
    document.head.append(inline);
    // In a task of the page's own: what the test runner itself evaluates is exempt from the policy.
    const evaluated = await new Promise<string>((resolve) => {
      setTimeout(() => {
        try {
          (0, eval)('1');
          resolve('ran');
        } catch {
          resolve('refused');
        }
      });
    });
    const fetched = await fetch('https://example.com/').then(
      () => 'fetched',
      () => 'refused',
    );
    const header = (await fetch('/index.html')).headers.get('content-security-policy') ?? '';
    return {
      violations: [...new Set(violations)].sort(),
      inlineRan: 'inlineRan' in window,
      evaluated,
      fetched,
      header,
    };
  });
  expect(outcome.inlineRan).toBe(false);
  expect(outcome.evaluated).toBe('refused');
  expect(outcome.fetched).toBe('refused');
  expect(outcome.violations).toContain('connect-src');
  expect(outcome.header).toContain("default-src 'none'");
  expect(outcome.header).not.toMatch(/script-src[^;]*unsafe/);
});

test('requests that do not fit are refused with a sentence', async ({ page }) => {
  const messages = await page.evaluate(async () => {
    const attempts = [
      () => window.bulkhead.theme.set('pink' as never),
      () => window.bulkhead.openExternal('file:///etc/passwd'),
      () => window.bulkhead.openExternal('javascript:alert(1)'),
      () => window.bulkhead.files.save('lab', '../outside'),
      () => window.bulkhead.engine.openLab(''),
    ];
    return await Promise.all(
      attempts.map((attempt) =>
        attempt().then(
          () => 'accepted',
          (error: Error) => error.message,
        ),
      ),
    );
  });
  expect(messages).toEqual([
    expect.stringContaining('does not fit'),
    expect.stringContaining('Only https'),
    expect.stringContaining('Only https'),
    expect.stringContaining('without folders'),
    expect.stringContaining('does not fit'),
  ]);
});

test('the bundle cannot be left through its addresses', async ({ page }) => {
  const statuses = await page.evaluate(async () => {
    const paths = ['/../package.json', '/%2e%2e/main/app.js', '/..%2fmain%2fapp.js', '/%00', '/main/app.js'];
    return await Promise.all(paths.map(async (path) => (await fetch(path)).status));
  });
  expect(statuses).toEqual([404, 404, 404, 404, 404]);
});
