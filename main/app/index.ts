/**
 * Entry of the Electron main process: puts the parts together and holds no logic of its own.
 */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { app, BrowserWindow, Menu, nativeTheme, utilityProcess } from 'electron';
import type { EngineState, ThemeState } from '../../shared/bridge.ts';
import { channels } from '../../shared/ipc-channels.ts';
import { registerAppScheme, serveRenderer } from './app-protocol.ts';
import { isLabFile, parseArguments } from './arguments.ts';
import { EngineProcess, type EngineChild } from './engine-process.ts';
import { createMainWindow, displayOf } from './main-window.ts';
import { menuTemplate } from './menu-template.ts';
import { OpenRequests } from './open-requests.ts';
import { bundle } from './paths.ts';
import { PreferencesFile } from './preferences.ts';
import { handleRequests } from './requests.ts';
import { denyNavigation, denyPermissions } from './security.ts';

// The executable comes first; unpackaged, the app's folder follows it.
const ownArguments = (argv: readonly string[]): string[] => argv.slice(app.isPackaged ? 1 : 2);
const options = parseArguments(ownArguments(process.argv), process.cwd());
if (options.profile !== null) {
  mkdirSync(options.profile, { recursive: true });
  app.setPath('userData', options.profile);
}

app.enableSandbox();
registerAppScheme();
denyNavigation();

if (!app.requestSingleInstanceLock()) {
  console.error('Bulkhead is already running with this profile: the files were handed to its window.');
  app.quit();
} else {
  run();
}

function run(): void {
  const preferences = new PreferencesFile(app.getPath('userData'));
  // what hosts translate is kept for the next run; the engine's threads inherit this
  process.env.BULKHEAD_TRANSLATIONS ??= path.join(app.getPath('userData'), 'translations');
  const openRequests = new OpenRequests();
  /** Files that were saved or opened in earlier sessions, as the engine keeps them. */
  const remembered = path.join(app.getPath('userData'), 'files.json');
  const engine = new EngineProcess({
    fork: (labPath) =>
      utilityProcess.fork(bundle.engine, ['--lab', labPath, '--remembered', remembered], {
        serviceName: 'Bulkhead engine',
        stdio: 'pipe',
      }) as EngineChild,
    log: (line) => {
      console.error(`[engine] ${line}`);
    },
  });
  nativeTheme.themeSource = preferences.current.theme;

  const tellAll = (channel: string, value: unknown): void => {
    for (const window of BrowserWindow.getAllWindows()) window.webContents.send(channel, value);
  };
  const themeState = (): ThemeState => ({ choice: nativeTheme.themeSource, dark: nativeTheme.shouldUseDarkColors });
  const openLab = async (labPath: string): Promise<EngineState> => {
    const state = await engine.start(labPath);
    if (state.phase === 'running') preferences.update({ lastLab: labPath });
    return state;
  };
  const openWindow = (): void => {
    const window = createMainWindow(preferences);
    window.on('closed', () => {
      openRequests.release();
    });
  };
  const openFromOutside = (files: readonly string[]): void => {
    engine.grant(files);
    openRequests.add(files);
    const window = BrowserWindow.getAllWindows()[0];
    if (window === undefined) {
      if (app.isReady()) openWindow();
      return;
    }
    if (window.isMinimized()) window.restore();
    window.focus();
  };

  engine.on('state', (state) => {
    tellAll(channels.notice.engineState, state);
  });
  nativeTheme.on('updated', () => {
    tellAll(channels.notice.theme, themeState());
  });
  app.on('second-instance', (_event, argv, cwd) => {
    openFromOutside(parseArguments(ownArguments(argv), cwd).files);
  });
  app.on('open-file', (event, file) => {
    event.preventDefault();
    openFromOutside([file]);
  });
  app.on('activate', () => {
    if (BrowserWindow.getAllWindows().length === 0) openWindow();
  });
  app.on('window-all-closed', () => {
    if (process.platform !== 'darwin') app.quit();
  });
  app.on('before-quit', (event) => {
    const phase = engine.state?.phase;
    if (phase !== 'starting' && phase !== 'running') return;
    // The lab file is closed properly first; then the app quits for good.
    event.preventDefault();
    void engine.stop().then(() => {
      app.quit();
    });
  });
  // Ctrl+C in the terminal that started the app, or a session that ends.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      app.quit();
    });
  }

  void app.whenReady().then(() => {
    denyPermissions();
    serveRenderer(bundle.renderer);
    handleRequests({
      engine,
      openLab,
      takeOpenRequests: (window) =>
        openRequests.take((paths) => {
          window.webContents.send(channels.notice.openRequest, paths);
        }),
      setMenuEnabled: (enabled) => {
        const menu = Menu.getApplicationMenu();
        for (const [id, value] of Object.entries(enabled)) {
          const item = menu?.getMenuItemById(id);
          if (item) item.enabled = value;
        }
      },
      themeState,
      setTheme: (choice) => {
        preferences.update({ theme: choice });
        nativeTheme.themeSource = choice;
      },
      windowDisplay: displayOf,
    });
    Menu.setApplicationMenu(
      Menu.buildFromTemplate(
        menuTemplate(process.platform, (command) => {
          BrowserWindow.getFocusedWindow()?.webContents.send(channels.notice.menuCommand, command);
        }),
      ),
    );
    app.setAboutPanelOptions({ applicationName: 'Bulkhead', applicationVersion: app.getVersion() });

    const [firstLab, ...others] = options.files.filter(isLabFile);
    engine.grant(options.files);
    openRequests.add([...others, ...options.files.filter((file) => !isLabFile(file))]);
    void openLab(firstLab ?? lastLab());
    openWindow();
  });

  /** The lab of the last session, or a fresh one in the profile. */
  function lastLab(): string {
    const last = preferences.current.lastLab;
    if (last !== null && existsSync(last)) return last;
    const folder = path.join(app.getPath('userData'), 'labs');
    mkdirSync(folder, { recursive: true });
    return path.join(folder, 'Untitled lab.bulkhead');
  }
}
