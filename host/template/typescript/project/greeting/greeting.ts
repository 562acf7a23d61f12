// Hook that adds the header `x-greeting` to every response, with the text from `carya.toml`.

import { after, settingText } from 'carya-guest';

after((req, reply) => {
  reply.setHeader('x-greeting', settingText('text'));
});
