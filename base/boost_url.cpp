// Boost.URL is compiled here, once, instead of linking its library.
#include <boost/url/src.hpp>
