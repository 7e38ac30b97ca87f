// Lint rules, and the one-way imports of the house: each layer names what it must not reach.
import prettier from 'eslint-config-prettier';
import vue from 'eslint-plugin-vue';
import vueAccessibility from 'eslint-plugin-vuejs-accessibility';
import tseslint from 'typescript-eslint';
import vueParser from 'vue-eslint-parser';

/** Folder -> folders that nothing in it may import. shared/ and npm packages are open to all. */
export const FORBIDDEN = {
  'main/machine': ['hypervisor', 'backends', 'toolstack', 'engine', 'app', 'guests', 'renderer', 'preload', 'test'],
  'main/hypervisor': ['backends', 'toolstack', 'engine', 'app', 'guests', 'renderer', 'preload', 'test'],
  'main/backends': ['toolstack', 'engine', 'app', 'guests', 'renderer', 'preload', 'test'],
  'main/toolstack': ['engine', 'app', 'renderer', 'preload', 'test'],
  'main/guests': ['machine', 'hypervisor', 'backends', 'toolstack', 'engine', 'app', 'renderer', 'preload', 'test'],
  'main/engine': ['machine', 'hypervisor', 'backends', 'app', 'renderer', 'preload', 'test'],
  'main/app': ['machine', 'hypervisor', 'backends', 'toolstack', 'engine', 'guests', 'renderer', 'preload', 'test'],
  renderer: ['main', 'preload', 'test'],
  preload: ['main', 'renderer', 'test'],
  shared: ['main', 'renderer', 'preload', 'test'],
};

const layering = Object.entries(FORBIDDEN).map(([folder, forbidden]) => ({
  files: [`${folder}/**/*.ts`, `${folder}/**/*.vue`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: forbidden.map((name) => ({
          regex: `^(\\.\\./)+(main/)?${name}/`,
          message: `${folder} must not import ${name}: imports go one way (docs/architecture.md).`,
        })),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['out/', 'dist/', 'node_modules/', '.cache/', 'main/guests/dinghy/'] },
  ...tseslint.configs.recommended,
  ...vue.configs['flat/recommended'],
  ...vueAccessibility.configs['flat/recommended'],
  {
    files: ['**/*.vue'],
    languageOptions: { parser: vueParser, parserOptions: { parser: tseslint.parser } },
  },
  {
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // offsets and table rows are asserted where their construction proves them
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-this-alias': 'off',
      'no-undef': 'off',
    },
  },
  {
    files: ['**/*.vue'],
    rules: {
      'vue/multi-word-component-names': 'off',
      // a label may hold its control or name it
      'vuejs-accessibility/label-has-for': ['error', { required: { some: ['nesting', 'id'] } }],
      // containers listen for keys and pointers of the focusable elements inside them (roving tabindex, dragging), which these rules
      // cannot see; axe-core checks the rendered page in the end-to-end tests instead
      'vuejs-accessibility/no-static-element-interactions': 'off',
      'vuejs-accessibility/interactive-supports-focus': 'off',
      'vuejs-accessibility/click-events-have-key-events': 'off',
    },
  },
  ...layering,
  prettier,
);
