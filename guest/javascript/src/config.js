// The settings of the component.

import * as config from 'carya:host/config@0.2.0';

export function settingText(name) {
  const value = config.get(name);
  if (value == null) throw new Error(`the setting \`${name}\` of this component is missing`);
  return value;
}

export function setting(name) {
  const text = settingText(name);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`the setting \`${name}\` of this component: ${error.message}; use \`settingText\` for a text`);
  }
}
