/**
 * The names of the IPC channels between preload and main process: one place, so that both sides and the sender check
 * agree. Channels under `request` are ipcRenderer.invoke -> ipcMain.handle; those under `notice` go main -> renderer.
 */
export const channels = {
  request: {
    engineState: 'engine:state',
    engineConnect: 'engine:connect',
    engineRestart: 'engine:restart',
    engineOpenLab: 'engine:open-lab',
    filesOpen: 'files:open',
    filesSave: 'files:save',
    filesDropped: 'files:dropped',
    filesTakeOpenRequests: 'files:take-open-requests',
    menuSetEnabled: 'menu:set-enabled',
    themeState: 'theme:state',
    themeSet: 'theme:set',
    windowSetTitle: 'window:set-title',
    windowState: 'window:state',
    openExternal: 'shell:open-external',
  },
  notice: {
    engineState: 'notice:engine-state',
    enginePort: 'notice:engine-port',
    openRequest: 'notice:open-request',
    menuCommand: 'notice:menu-command',
    theme: 'notice:theme',
    windowState: 'notice:window-state',
  },
} as const;
