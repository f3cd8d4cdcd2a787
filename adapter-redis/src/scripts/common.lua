-- What all scripts begin with. A group's hash holds: e epoch, o number of the last message, t when it was published, u when the last
-- message without a number was published that somebody watched, c octets
-- that were kept since the history began, f how many of them came before what is kept, as of the last look, F of which promotion of a
-- server it knows, p and v epoch and version of presence, r the run of the server in which that epoch began, x when it was last put off that this is forgotten.
local function text(number)
    return string.format('%.0f', number)
end
local function clock()
    local t = redis.call('TIME')
    return t[1] * 1000000 + t[2]
end
