// `undici`, the WebSocket that Node has built in.

import { WebSocket } from 'undici';
import { opener } from './standard.mjs';

export const open = opener(WebSocket);
