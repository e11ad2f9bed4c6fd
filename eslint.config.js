import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['build/', 'node_modules/'] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, globals: { ...globals.browser, ...globals.node } },
    rules: { 'no-unused-vars': ['error', { varsIgnorePattern: '^_' }], eqeqeq: 'error', 'prefer-const': 'error' },
  },
];
