-- Returns the users in a group.
-- KEYS: hash, users. ARGV: whether names are requested ('1').
local known = redis.call('HMGET', KEYS[1], 'p', 'v')
local epoch, version = known[1] or '\0\0\0\0\0\0\0\0', tonumber(known[2] or 0)
local members = {}
if ARGV[1] == '1' then
    members = redis.call('HGETALL', KEYS[2])
end
return {epoch, version, redis.call('HLEN', KEYS[2]), members}
