// Boost.JSON is compiled here, once, instead of linking its library: g++ needs 10 s for it.
#include <boost/json/src.hpp>
