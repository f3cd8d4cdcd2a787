-- The beginning of all scripts. A group's hash holds: e epoch, o number of the last message, t when it was published, u when the last
-- unnumbered message was published while some node watched, c bytes kept since the history began, f how many of them precede the kept ones,
-- as of the last look, F the promotion of a server that it knows, p and v epoch and version of presence, r the run of the server in which
-- that epoch began, x when its expiry was last extended.
local function text(number)
    return string.format('%.0f', number)
end
local function clock()
    local t = redis.call('TIME')
    return t[1] * 1000000 + t[2]
end
