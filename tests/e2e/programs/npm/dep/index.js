module.exports = "dep says " + require("./package.json").version;
